package local

import (
	"log/slog"
	"runtime"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/tooltext"
)

// Option changes how [New] makes a backend. Options win over the environment.
type Option func(*config)

type config struct {
	model     string
	library   string
	template  string
	tools     ToolFormat
	options   backend.Options
	contexts  int
	threads   int
	gpuLayers int
	window    int
	folder    string
	log       *slog.Logger
	engine    engine
}

// WithModel names the model of requests that name none themselves: a .gguf file, a folder, or the hub's id of a model
// in the cache, for example "HuggingFaceTB/SmolLM2-135M-Instruct". An id may go on with "@revision" and, where there
// are several GGUF files, with ":" and a part of the name of one, such as ":Q4_K_M". A folder or id stands for the GGUF
// file in it; where there is none, its weights in safetensors are converted once, see [WithConversions]. Nothing is
// downloaded.
func WithModel(model string) Option { return func(c *config) { c.model = model } }

// WithLibrary names the folder of llama.cpp's libraries, in place of MELLEA_LLAMA_LIB.
func WithLibrary(dir string) Option { return func(c *config) { c.library = dir } }

// WithConversions names the folder for GGUF files that were made of models in safetensors: those of the families Llama,
// Mistral, Qwen2 and Qwen3 with byte-level tokenizers, not quantised. Each is as large as its model, is made once and
// again when the model's files change, and is never removed. The default is mellea/gguf in the user's folder of caches.
func WithConversions(dir string) Option { return func(c *config) { c.folder = dir } }

// WithChatTemplate takes the place of the template in the model's file: a template's text, or one of the names that
// llama.cpp knows, such as "chatml" or "llama3".
func WithChatTemplate(template string) Option { return func(c *config) { c.template = template } }

// ToolFormat is a convention by which tools are offered to a model in text and by which it asks for them.
type ToolFormat uint8

// The conventions. What neither a template shows nor an option says is [ToolsHermes].
const (
	// ToolsAuto is the one that the template in the model's file shows it to have learned. It is the default.
	ToolsAuto ToolFormat = iota
	// ToolsHermes is that of NousResearch's Hermes and of Qwen: calls are JSON between <tool_call> and </tool_call>.
	ToolsHermes
	// ToolsLlama3 is that of Llama 3.1 and later: a reply that calls a tool is JSON and nothing else.
	ToolsLlama3
)

// of is the convention of a model with these templates, the first of which is its own.
func (f ToolFormat) of(templates ...string) tooltext.Format {
	switch f {
	case ToolsHermes:
		return tooltext.Hermes
	case ToolsLlama3:
		return tooltext.Llama3
	}
	return tooltext.Detect(templates...)
}

// WithToolFormat sets the convention for tools, for a model whose template does not show what it has learned.
func WithToolFormat(f ToolFormat) Option { return func(c *config) { c.tools = f } }

// WithOptions sets the options that requests are laid over.
func WithOptions(o backend.Options) Option { return func(c *config) { c.options = o } }

// WithContexts bounds the generations that run at the same time, per model; more wait for their turn, first come first
// served. Each has a context, and its memory, of its own. The default is 1: llama.cpp keeps the processors busy with one.
func WithContexts(n int) Option { return func(c *config) { c.contexts = n } }

// WithThreads sets how many threads compute one generation. The default is half of the processors, at least 1: with
// other load beside it, more make llama.cpp slower by far.
func WithThreads(n int) Option { return func(c *config) { c.threads = n } }

// WithGPULayers sets how many layers of a model are put on a graphics processor, if the libraries have one. The default
// is 0; a negative n is all.
func WithGPULayers(n int) Option { return func(c *config) { c.gpuLayers = n } }

// WithContextWindow bounds prompt and reply together, in tokens. The default is what the model was trained for, at most
// 4096. A call's own context-window option wins; neither goes beyond what the model was trained for.
func WithContextWindow(n int) Option { return func(c *config) { c.window = n } }

// WithLogger sets where an option that has no effect is reported, once each, at WARN. The default is [slog.Default] at
// the time of the report.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }

// defaultWindow bounds the context where nothing else does: a model that was trained for a million tokens would
// otherwise take all memory there is.
const defaultWindow = 4096

func defaultThreads() int { return max(1, runtime.GOMAXPROCS(0)/2) }
