"""Writes SmolLM2's GGUF file as a folder that Transformers loads: smollm2_hf.py FOLDER FILE.gguf OUT."""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
from transformers.utils import logging

logging.disable_progress_bar()
source, weights, out = sys.argv[1:]
AutoTokenizer.from_pretrained(source, gguf_file=weights).save_pretrained(out)
model = AutoModelForCausalLM.from_pretrained(
    source, gguf_file=weights, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True)
)
model.config._name_or_path = "SmolLM2-135M-Instruct"
model.to(torch.bfloat16).save_pretrained(out)
