package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// the program sees: Ada: Hello! I'm here to help with your creative projects. What brings you to my office today?
	// and refers to: mellea.content.output_messages.ref = file://…/6c7dbb9d5f626249023e5efb1a86c7423d2c97325ecc9d3fd343bfe8df732cec.json
	// the trace has: gen_ai.output.messages = [{"parts":[{"content":"[name]: Hello! I'm here to help with your creative projects. What brings you to my office today?","type":"text"}],"role":"assistant"}]
	// and refers to: mellea.content.input_messages.ref = file://…/9e55b5d945adc0295312cb252bca9292e56eff57849caffdbbf1d0359c102fbd.json
	// the trace has: gen_ai.input.messages = [{"parts":[{"content":"Greet [name] in one short sentence.","type":"text"}],"role":"user"}]
}
