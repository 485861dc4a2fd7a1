package local

import "github.com/mellea-go/mellea/backend"

// engine is what runs models: llama.cpp, or a scripted one in tests.
type engine interface {
	// load reads the model in a GGUF file. The error is an *[backend.Error].
	load(path string, set loadSettings) (weights, error)
}

type loadSettings struct {
	threads, gpuLayers int
}

type token int32

// turn is one message of a conversation, as text.
type turn struct{ role, text string }

// weights is a loaded model. It is safe for concurrent use until free.
type weights interface {
	name() string       // what the file calls the model, "" when it does not
	trained() int       // the context the model was trained for, in tokens
	template() string   // the chat template, "" when there is none
	controls() []string // the texts of its control tokens
	// render writes a conversation, up to where the model's turn begins. false says that the template is not known.
	render(template string, turns []turn) (string, bool)
	// tokenize turns text into tokens: with what stands at the start of a text if begin is set, and with the texts of
	// control tokens understood as such if control is.
	tokenize(text string, begin, control bool) []token
	// piece appends the text of a token: nothing for a control token.
	piece(dst []byte, t token) []byte
	control(t token) string // the text of a control token, "" for another
	ends(t token) bool      // the token ends a reply
	open(window int) (sequence, error)
	sampler(set sampling) (sampler, error)
	free()
}

// sequence is the memory of one generation. One goroutine uses it at a time.
type sequence interface {
	// decode adds tokens behind those that it holds.
	decode(ts []token) error
	// sample chooses the next token. false says that the grammar leaves none.
	sample(s sampler) (token, bool)
	// logits returns what the model makes of each token as the next, which decode has computed; the slice is the caller's.
	logits() []float32
	// scores returns what sample has chosen by, when the sampler's settings say that it is wanted: negative infinity for a
	// token that could not be. The slice is the caller's.
	scores() []float32
	clear()
	free()
}

// sampler is how tokens are chosen, and what has been chosen.
type sampler interface {
	// hold has the next tokens be of a grammar, in place of the one before; "" is none.
	hold(grammar string) error
	free()
}

// sampling are the settings of a sampler. A number that is not used is zero unless it says otherwise.
type sampling struct {
	temperature, topP, minP, typicalP float64 // topP and typicalP 1: all
	topK                              int
	repeat, frequency, presence       float64 // repeat 1: no penalty
	window                            int     // tokens that penalties look back on
	seed                              uint32
	grammar                           string // GBNF, its rule root first
	scored                            bool   // what tokens are chosen by is wanted
}

const provider = "huggingface"

// LibraryVersion is the release of llama.cpp whose libraries the package works with.
const LibraryVersion = "v0.5.0"

// codeModel is for a model whose file is not one that llama.cpp can run.
const codeModel = "model_unusable"

// step is how many tokens of a prompt are computed between two looks at the context of the call.
const step = 128

func misconfigured(op, remedy string, cause error) *backend.Error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeConfiguration, Remedy: remedy, Err: cause}
}

func unsupported(op, remedy string) *backend.Error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeUnsupported, Remedy: remedy}
}
