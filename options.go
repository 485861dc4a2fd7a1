package mellea

import (
	"io/fs"
	"maps"
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/tool"
)

// StartOption configures a session at [Start].
type StartOption interface{ applyStart(*startConfig) }

// BlockOption configures a part of a program: a block of a session by [Session.With], calls without a session by [On],
// and a whole session too.
type BlockOption interface {
	StartOption
	applyBlock(*blockConfig)
}

type blockConfig struct {
	hooks        []hook.Source
	options      backend.Options
	system       string
	setSystem    bool
	conversation string
	templates    fs.FS
	tools        tool.Set
	loop         engine.Loop
	err          error // of an option
}

type startConfig struct {
	blockConfig
	backend backend.Backend
	history history.History
}

// formatter returns the formatter to use where base is in force, or what is wrong with the options.
func (c blockConfig) formatter(base *component.Formatter) (*component.Formatter, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.templates == nil {
		return base, nil
	}
	return component.NewFormatter(component.WithTemplates(c.templates))
}

// onto lays what is configured over a scope, hooks and formatter excepted.
func (c blockConfig) onto(s engine.Scope) engine.Scope {
	s.Options = s.Options.Merge(c.options)
	if c.setSystem {
		s.System = c.system
	}
	if c.conversation != "" {
		s.Conversation = c.conversation
	}
	s.Tools = s.Tools.Merge(c.tools)
	if c.loop.Turns != 0 {
		s.Loop.Turns = c.loop.Turns
	}
	if c.loop.Parallel != 0 {
		s.Loop.Parallel = c.loop.Parallel
	}
	return s
}

type blockOption func(*blockConfig)

func (f blockOption) applyBlock(c *blockConfig) { f(c) }
func (f blockOption) applyStart(c *startConfig) { f(&c.blockConfig) }

type startOption func(*startConfig)

func (f startOption) applyStart(c *startConfig) { f(c) }

// WithHooks installs plugins: telemetry, guards, audits, single bindings.
func WithHooks(sources ...hook.Source) BlockOption {
	return blockOption(func(c *blockConfig) { c.hooks = append(slices.Clip(c.hooks), sources...) })
}

// WithOptions sets parameters of every generation, judges included. Those of a call win.
func WithOptions(o backend.Options) BlockOption {
	return blockOption(func(c *blockConfig) { c.options = c.options.Merge(o) })
}

// WithModel names the model of every generation.
func WithModel(name string) BlockOption { return WithOptions(backend.Options{}.WithModel(name)) }

// WithSystem puts a system message before every call's messages. Judges do not see it.
func WithSystem(text string) BlockOption {
	return blockOption(func(c *blockConfig) { c.system, c.setSystem = text, true })
}

// WithConversationID says which conversation the calls belong to, for gen_ai.conversation.id in traces. Without it
// there is none: an id is never made up.
func WithConversationID(id string) BlockOption {
	return blockOption(func(c *blockConfig) { c.conversation = id })
}

// WithTemplates looks for prompt templates in files first; see package component for their names.
func WithTemplates(files fs.FS) BlockOption {
	return blockOption(func(c *blockConfig) { c.templates = files })
}

// WithHistory starts the session from h, for example history.Chat() for one that remembers. The default is
// history.Simple(), in which each call stands alone.
func WithHistory(h history.History) StartOption {
	return startOption(func(c *startConfig) { c.history = h })
}

// Vars are the variables of a call's templates. With Vars, description, prefix, examples and requirement texts are
// templates (package text/template, and {{name}} for {{.name}}); without, they are plain text. A variable may be a
// running [backend.Output]: it is awaited first. Values are never read as templates.
type Vars map[string]any

func (v Vars) applyCall(c *callConfig) {
	if c.vars == nil {
		c.vars = map[string]any{}
	}
	maps.Copy(c.vars, v)
}
