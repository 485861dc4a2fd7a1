package replay

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

const (
	formatName = "mellea-recording"
	version    = 1
	contains   = "prompts and replies: keep this file private"
)

// Limits of a recording that is read.
const (
	MaxLine = 64 << 20 // bytes
	MaxSize = 1 << 30  // bytes
)

// The types below are the lines of a recording, as FORMAT.md describes them.

type header struct {
	Format        string       `json:"format"`
	Version       int          `json:"version"`
	Contains      string       `json:"contains,omitzero"`
	Made          time.Time    `json:"made,omitzero"`
	Note          string       `json:"note,omitzero"`
	Provider      string       `json:"provider"`
	Model         string       `json:"model"`
	ServerAddress string       `json:"server_address,omitzero"`
	ServerPort    int          `json:"server_port,omitzero"`
	InProcess     bool         `json:"in_process,omitzero"`
	Capabilities  capabilities `json:"capabilities"`
}

type capabilities struct {
	Images     bool   `json:"images,omitzero"`
	Audio      bool   `json:"audio,omitzero"`
	Tools      bool   `json:"tools,omitzero"`
	Batch      bool   `json:"batch,omitzero"`
	Structured string `json:"structured,omitzero"`
}

var structured = []string{backend.StructuredNone: "none", backend.StructuredJSON: "json", backend.StructuredSchema: "schema"}

type exchange struct {
	Index      int        `json:"index"`
	Request    request    `json:"request"`
	Chunks     []chunk    `json:"chunks,omitempty"`
	Items      []item     `json:"items,omitempty"` // of a batch, in place of chunks
	Generation generation `json:"generation,omitzero"`
	Error      *failure   `json:"error,omitzero"`
	Refused    bool       `json:"refused,omitzero"`
	line       int        // in the file, from 1
	canonical  [32]byte   // identifies the request
}

type chunk struct {
	At        int64  `json:"at_us"`
	Text      string `json:"text,omitzero"`
	Reasoning string `json:"reasoning,omitzero"`
	Base64    bool   `json:"base64,omitzero"`
	ToolCall  *delta `json:"tool_call,omitzero"`
	// Served is what it added to a tool that the provider ran itself.
	Served *serverDelta `json:"server_tool,omitzero"`
}

type delta struct {
	Index     int    `json:"index"`
	ID        string `json:"id,omitzero"`
	Name      string `json:"name,omitzero"`
	Arguments string `json:"arguments,omitzero"`
}

type serverDelta struct {
	Index      int    `json:"index"`
	ID         string `json:"id,omitzero"`
	Name       string `json:"name,omitzero"`
	Type       string `json:"type,omitzero"`
	Arguments  string `json:"arguments,omitzero"`
	ResultType string `json:"result_type,omitzero"`
	Result     string `json:"result,omitzero"`
}

type generation struct {
	Provider      string   `json:"provider,omitzero"`
	Model         string   `json:"model,omitzero"`
	ResponseModel string   `json:"response_model,omitzero"`
	ResponseID    string   `json:"response_id,omitzero"`
	RequestID     string   `json:"request_id,omitzero"`
	Fingerprint   string   `json:"system_fingerprint,omitzero"`
	ServiceTier   string   `json:"service_tier,omitzero"`
	Deployment    string   `json:"deployment,omitzero"`
	Cost          *float64 `json:"cost_usd,omitzero"`
	FinishReasons []string `json:"finish_reasons,omitempty"`
	Usage         usage    `json:"usage,omitzero"`
	Sent          sent     `json:"sent,omitzero"`
	Streaming     bool     `json:"streaming,omitzero"`
	ServerAddress string   `json:"server_address,omitzero"`
	ServerPort    int      `json:"server_port,omitzero"`
	InProcess     bool     `json:"in_process,omitzero"`
	Retries       []retry  `json:"retries,omitempty"`
	Ended         int64    `json:"ended_us,omitzero"`
}

type usage struct {
	InputTokens      int      `json:"input_tokens,omitzero"`
	OutputTokens     int      `json:"output_tokens,omitzero"`
	CacheReadTokens  int      `json:"cache_read_tokens,omitzero"`
	CacheWriteTokens int      `json:"cache_write_tokens,omitzero"`
	ReasoningTokens  int      `json:"reasoning_tokens,omitzero"`
	Text             modality `json:"text,omitzero"`
	Image            modality `json:"image,omitzero"`
	Audio            modality `json:"audio,omitzero"`
}

type modality struct {
	InputTokens     int `json:"input_tokens,omitzero"`
	OutputTokens    int `json:"output_tokens,omitzero"`
	CacheReadTokens int `json:"cache_read_tokens,omitzero"`
}

type retry struct {
	At     int64  `json:"at_us"`
	Delay  int64  `json:"delay_us"`
	Status int    `json:"status,omitzero"`
	Reason string `json:"reason,omitzero"`
}

func recordUsage(u content.Usage) usage {
	return usage{u.InputTokens, u.OutputTokens, u.CacheReadTokens, u.CacheWriteTokens, u.ReasoningTokens,
		modality(u.Text), modality(u.Image), modality(u.Audio)}
}

func (u usage) usage() content.Usage {
	return content.Usage{InputTokens: u.InputTokens, OutputTokens: u.OutputTokens,
		CacheReadTokens: u.CacheReadTokens, CacheWriteTokens: u.CacheWriteTokens, ReasoningTokens: u.ReasoningTokens,
		Text: content.Modality(u.Text), Image: content.Modality(u.Image), Audio: content.Modality(u.Audio)}
}

func (u usage) sane() bool {
	return min(u.InputTokens, u.OutputTokens, u.CacheReadTokens, u.CacheWriteTokens, u.ReasoningTokens,
		u.Text.least(), u.Image.least(), u.Audio.least()) >= 0
}

func (m modality) least() int { return min(m.InputTokens, m.OutputTokens, m.CacheReadTokens) }

// chunk returns the piece as arriving at at.
func (c *chunk) chunk(at time.Time) (backend.Chunk, error) {
	p := backend.Chunk{At: at}
	switch {
	case c.ToolCall != nil:
		t := c.ToolCall
		p.Kind = backend.ChunkToolCall
		p.Tool = backend.ToolDelta{Index: t.Index, ID: t.ID, Name: t.Name, Arguments: t.Arguments}
		return p, nil
	case c.Served != nil:
		p.Kind, p.ServerTool = backend.ChunkServerTool, backend.ServerToolDelta(*c.Served)
		return p, nil
	case c.Reasoning != "":
		p.Kind, p.Text = backend.ChunkReasoning, c.Reasoning
	case c.Text != "":
		p.Kind, p.Text = backend.ChunkText, c.Text
	default:
		p.Kind = backend.ChunkOther
	}
	if !c.Base64 {
		return p, nil
	}
	text, err := base64.StdEncoding.DecodeString(p.Text)
	p.Text = string(text)
	return p, err
}

// lenient lets texts and raw values of a request through as they are.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true), json.Deterministic(true))

// encodeLine returns v as one line.
func encodeLine(v any) ([]byte, error) {
	line, err := json.Marshal(v, lenient)
	if err != nil {
		return nil, err
	}
	return append(line, '\n'), nil
}

// check finds what a line may not say although it is well-formed.
func (e *exchange) check() error {
	if e.Refused && e.Error == nil {
		return errors.New("it is refused without an error")
	}
	at := int64(0)
	for i, c := range e.Chunks {
		if c.At < at || c.At > maxOffset {
			return fmt.Errorf("chunk %d: at_us must not decrease or exceed %d", i+1, maxOffset)
		}
		at = c.At
		if c.ToolCall != nil && (c.ToolCall.Index < 0 || c.ToolCall.Index >= backend.MaxToolCalls) {
			return fmt.Errorf("chunk %d: the index of a tool call must be from 0 to %d", i+1, backend.MaxToolCalls-1)
		}
		if c.Served != nil && (c.Served.Index < 0 || c.Served.Index >= backend.MaxToolCalls) {
			return fmt.Errorf("chunk %d: the index of a tool of the provider must be from 0 to %d", i+1, backend.MaxToolCalls-1)
		}
		if _, err := c.chunk(time.Time{}); err != nil {
			return fmt.Errorf("chunk %d: not base64", i+1)
		}
	}
	if err := e.checkItems(); err != nil {
		return err
	}
	g := e.Generation
	if c := g.Cost; c != nil && (*c < 0 || *c > math.MaxFloat32) {
		return errors.New("generation: cost_usd is out of range")
	}
	if g.Ended < 0 || g.Ended > maxOffset {
		return errors.New("generation: ended_us is out of range")
	}
	if !g.Usage.sane() {
		return errors.New("generation: a count of tokens is negative")
	}
	for i, r := range g.Retries {
		if r.At < 0 || r.At > maxOffset || r.Delay < 0 || r.Delay > maxOffset {
			return fmt.Errorf("retry %d: a time is out of range", i+1)
		}
	}
	return e.Error.check()
}

const maxOffset = int64(365 * 24 * time.Hour / time.Microsecond)
