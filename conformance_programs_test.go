package mellea_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/cli/demo"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

// open opens a session that is traced, and closes it when the program is done.
func open(t *testing.T, tel *telemetry.Telemetry, b backend.Backend, program func(*mellea.Session), opts ...mellea.StartOption) {
	t.Helper()
	s, err := mellea.Start(t.Context(), b, append(opts, mellea.WithHooks(tel))...)
	if err != nil {
		t.Fatal(err)
	}
	program(s)
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func wantError[E error](t *testing.T, err error) {
	t.Helper()
	if want, ok := errors.AsType[E](err); !ok {
		t.Errorf("error is %v, want a %T", err, want)
	}
}

// numeral is a component whose reply is a number.
type numeral struct{ component.Message }

func (numeral) Parse(reply content.Message) (int, error) {
	return 0, &component.ParseError{Kind: "number", Reason: "no number in " + reply.Text()}
}

// conformingPrograms are programs that together open every span there is, in every way that it can end.
var conformingPrograms = map[string]func(*testing.T, *telemetry.Telemetry){
	"requirements, repair, judge": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers("Dear all, ASAP please", "Dear all")), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write a mail to {{.name}}", mellea.Vars{"name": "Alice"}, mellea.PromptName("mail", "3"),
				mellea.Require("be formal"), mellea.Require("at most 3 words", requirement.MaxWords(3)),
				mellea.Check(requirement.Named("not urgent", requirement.Excludes("ASAP"))), mellea.Strategy(sampling.Repair(3)))
			must(t, err)
			_, err = s.Validate(t.Context(), "Dear all", requirement.MaxWords(1), requirement.Judge("be kind", requirement.JudgeScore(0.5)))
			must(t, err)
			_, err = s.Chat(t.Context(), "And now?", mellea.PromptName("chat", ""))
			must(t, err)
		}, mellea.WithConversationID("conv-7"), mellea.WithSystem("You write mails."))
	},
	"streaming": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers("one two three four five")), func(s *mellea.Session) {
			_, err := s.Chat(t.Context(), "Count.", mellea.Stream(func(int, backend.Chunk) {}))
			must(t, err)
			out, err := s.StartInstruct(t.Context(), "Count.")
			must(t, err)
			_, err = s.Instruct(t.Context(), "Count on from {{.last}}", mellea.Vars{"last": out})
			must(t, err)
		})
	},
	"options and format": func(t *testing.T, tel *telemetry.Telemetry) {
		user, err := schema.Parse("user", []byte(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`))
		must(t, err)
		open(t, tel, modelServer(t, answers(`{"name":"Alice"}`)), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Extract the user.", mellea.Format(user), mellea.Options(backend.Options{}.
				WithTemperature(0).WithTopP(1).WithTopK(40).WithMaxTokens(50).WithSeed(7).WithStop("\n\n", "END").
				WithFrequencyPenalty(0.1).WithPresencePenalty(0.2).WithThinking("low")), mellea.ConversationID("conv-8"))
			must(t, err)
		})
	},
	"budget spent": func(t *testing.T, tel *telemetry.Telemetry) {
		for _, strategy := range []sampling.Strategy{sampling.None(), sampling.Reject(2), sampling.Reject(3, sampling.Parallel(3)), sampling.MultiTurn(2)} {
			open(t, tel, modelServer(t, answers("ASAP")), func(s *mellea.Session) {
				_, err := s.Instruct(t.Context(), "Write.", mellea.Check(requirement.Excludes("ASAP")), mellea.Strategy(strategy))
				wantError[*mellea.UnmetError](t, err)
			})
		}
	},
	"rejected": func(t *testing.T, tel *telemetry.Telemetry) {
		deny := hook.Reject("budget_exceeded", "the day's tokens are spent")
		for name, guard := range map[string]hook.Source{
			"generation":  hook.Plugin{Name: "budget", Sources: []hook.Source{hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return deny })}},
			"component":   hookpoint.Component.Check(func(context.Context, hookpoint.ComponentStart) error { return deny }),
			"sampling":    hookpoint.Sampling.Check(func(context.Context, hookpoint.SamplingStart) error { return deny }),
			"validation":  hookpoint.Validation.Check(func(context.Context, hookpoint.ValidationStart) error { return deny }),
			"requirement": hookpoint.Requirement.Check(func(context.Context, hookpoint.RequirementStart) error { return deny }),
			"review": hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, end hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
				return end, deny
			}),
		} {
			open(t, tel, modelServer(t, answers("hello")), func(s *mellea.Session) {
				_, err := s.Instruct(t.Context(), "Write.", mellea.Check(requirement.MaxWords(3)))
				if err == nil {
					t.Errorf("%s: the call was not rejected", name)
				}
			}, mellea.WithHooks(guard))
		}
		_, err := mellea.Start(t.Context(), modelServer(t, answers("hello")), mellea.WithHooks(tel,
			hookpoint.SessionStart.Check(func(context.Context, hookpoint.SessionStarting) error { return deny })))
		wantError[*hook.Rejection](t, err)
	},
	"cancelled, abandoned": func(t *testing.T, tel *telemetry.Telemetry) {
		hangs := func() *melleatest.Backend {
			return melleatest.NewBackend(melleatest.Reply{Pieces: []string{"I ", "am "}, Block: true})
		}
		open(t, tel, hangs(), func(s *mellea.Session) {
			ctx, cancel := context.WithCancel(t.Context())
			_, err := s.Instruct(ctx, "Write.", mellea.Require("be kind"), mellea.Stream(func(_ int, c backend.Chunk) {
				if strings.Contains(c.Text, "am") {
					cancel()
				}
			}))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			cancel()
		})
		s, err := mellea.Start(t.Context(), hangs(), mellea.WithHooks(tel))
		must(t, err)
		out, err := s.StartInstruct(t.Context(), "Write.")
		must(t, err)
		must(t, s.Close())
		<-out.Done()
	},
	"errors": func(t *testing.T, tel *telemetry.Telemetry) {
		for _, b := range []backend.Backend{
			modelServer(t, refuses(500, "")),
			modelServer(t, refuses(429, "rate_limit_exceeded")),
			modelServer(t, refuses(401, "invalid_api_key")),
			modelServer(t, refuses(400, "content_filter")),
			modelServer(t, func(int, backendtest.Received) (int, string, backendtest.Reply) {
				return http.StatusOK, "", backendtest.Reply{Finish: "stop"}
			}),
			openai.New(openai.WithBaseURL("http://127.0.0.1:1/v1"), openai.WithModel("m"), openai.WithAPIKey(""), openai.WithRetries(0)),
			melleatest.NewBackend(melleatest.Fail(errors.New("the disk is full"))),
			melleatest.NewBackend(melleatest.Reply{Pieces: []string{"half a"}, Err: io.ErrUnexpectedEOF}),
			melleatest.NewBackend(melleatest.Reply{Refuse: &backend.Error{Provider: "scripted", Code: "no such thing!", Message: "no"}}),
			melleatest.NewBackend(melleatest.Reply{Panic: "oh"}),
		} {
			open(t, tel, b, func(s *mellea.Session) {
				if _, err := s.Instruct(t.Context(), "Write."); err == nil {
					t.Error("the call did not fail")
				}
				_, err := s.Instruct(t.Context(), "Write.", mellea.Require("be kind"), mellea.Stream(func(int, backend.Chunk) {}))
				if err == nil {
					t.Error("the streamed call did not fail")
				}
			})
		}
	},
	"a retry": func(t *testing.T, tel *telemetry.Telemetry) {
		fine := answers("hello")
		open(t, tel, modelServer(t, func(n int, r backendtest.Received) (int, string, backendtest.Reply) {
			if n == 1 {
				return http.StatusServiceUnavailable, "overloaded", backendtest.Reply{}
			}
			return fine(n, r)
		}), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write.")
			must(t, err)
		})
	},
	"a deadline": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, melleatest.NewBackend(melleatest.Reply{Block: true}), func(s *mellea.Session) {
			ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Millisecond))
			defer cancel()
			_, err := s.Instruct(ctx, "Write.")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v, want context.DeadlineExceeded", err)
			}
		})
	},
	"errors of checks and components": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers("hello")), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write.", mellea.Check(requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
				return requirement.Verdict{}, errors.New("the dictionary is missing")
			})))
			wantError[*requirement.CheckError](t, err)
			_, err = s.Instruct(t.Context(), "Write to {{.name}}", mellea.Vars{"nam": "Alice"})
			wantError[*component.TemplateError](t, err)
			_, err = mellea.Act(t.Context(), s, numeral{component.FromMessage(content.User("How many?"))})
			wantError[*component.ParseError](t, err)
			_, err = mellea.Act(t.Context(), s, numeral{component.FromMessage(content.User("How many?"))}, mellea.Strategy(sampling.Reject(2)))
			if err == nil {
				t.Error("no attempt could be parsed, want an error")
			}
		})
	},
	"a session that does not start": func(t *testing.T, tel *telemetry.Telemetry) {
		for _, b := range []backend.Backend{
			openai.New(openai.WithBaseURL("://"), openai.WithAPIKey("")),
			melleatest.NewBackend().WithInfo(backend.Info{}, errors.New("no such model")),
			melleatest.NewBackend().WithInfo(backend.Info{}, &backend.Error{Provider: "scripted", Op: "info", Code: backend.CodeConfiguration}),
		} {
			if _, err := mellea.Start(t.Context(), b, mellea.WithHooks(tel)); err == nil {
				t.Error("the session did start")
			}
		}
		open(t, tel, modelServer(t, answers("hello")), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write.")
			must(t, err)
		})
	},
	"beneath the caller's span": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers("hello")), func(s *mellea.Session) {
			ctx, span := tel.TracerProvider().Tracer("my.program").Start(t.Context(), "handle")
			defer span.End()
			_, err := s.Instruct(ctx, "Write.", mellea.Check(requirement.MaxWords(3)))
			must(t, err)
			_, err = s.Validate(ctx, "hello", requirement.MaxWords(3))
			must(t, err)
			clone, err := s.Clone(ctx)
			must(t, err)
			_, err = clone.Chat(ctx, "And?")
			must(t, err)
			must(t, clone.Close())
		})
	},
	"without a session": func(t *testing.T, tel *telemetry.Telemetry) {
		d := mellea.On(modelServer(t, answers("hello")), mellea.WithHooks(tel))
		_, err := mellea.Instruct(t.Context(), d, "Write.", mellea.Require("be kind"))
		must(t, err)
		must(t, d.Close())
	},
	"media, tools, tool calls": func(t *testing.T, tel *telemetry.Telemetry) {
		parameters, err := schema.Parse("weather", []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`))
		must(t, err)
		offer := hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			p.Tools = content.ListOf(content.ToolSpec{Name: "weather", Description: "The weather in a city.", Parameters: parameters},
				content.ToolSpec{Name: "now"})
			return p, nil
		})
		image, err := content.NewImage([]byte("\x89PNG\r\n\x1a\n"))
		must(t, err)
		link, err := content.ImageURL("https://example.com/a.png")
		must(t, err)
		audio, err := content.NewAudio("audio/wav", []byte("RIFF"))
		must(t, err)
		open(t, tel, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"Let me see."}, Calls: []content.ToolCall{
			{ID: "c1", Name: "weather", Arguments: `{"city":"Bern"}`}, {ID: "c2", Name: "now", Arguments: `not JSON`}, {Name: "now"},
		}, FinishReason: "tool_calls", ResponseID: "r1", ResponseModel: "script-1", Usage: content.Usage{InputTokens: 5, OutputTokens: 3}}),
			func(s *mellea.Session) {
				_, err := s.Chat(t.Context(), "What is on this?", mellea.Media(image, link, audio))
				must(t, err)
				_, err = s.Chat(t.Context(), "And now?")
				must(t, err)
			}, mellea.WithHooks(offer))
	},
	"tools": func(t *testing.T, tel *telemetry.Telemetry) {
		weather := tool.New("weather", "The weather in a city.", func(_ context.Context, in struct {
			City string `json:"city"`
		}) (map[string]int, error) {
			switch in.City {
			case "Thule":
				return nil, errors.New("no such city")
			case "Hell":
				panic("hot")
			}
			return map[string]int{"celsius": 21}, nil
		})
		deny := hook.Plugin{Name: "allow-list", Sources: []hook.Source{hookpoint.Tool.Guard(
			func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
				if strings.Contains(p.Call.Arguments, "Troy") {
					return p, hook.Reject("not_allowed", "Troy is closed")
				}
				return p, nil
			})}}
		calls := []content.ToolCall{{ID: "c1", Name: "weather", Arguments: `{"city":"Bern"}`}, {ID: "c2", Name: "weather", Arguments: `{}`},
			{Name: "made_up", Arguments: "not JSON"}, {Name: "weather", Arguments: `{"city":"Thule"}`},
			{Name: "weather", Arguments: `{"city":"Hell"}`}, {Name: "weather", Arguments: `{"city":"Troy"}`}}
		reply := melleatest.Reply{Calls: calls, ResponseID: "r1", ResponseModel: "script-1", Usage: content.Usage{InputTokens: 5, OutputTokens: 3}}
		done := melleatest.Reply{Pieces: []string{"21 degrees"}, ResponseID: "r2", ResponseModel: "script-1", Usage: content.Usage{InputTokens: 5, OutputTokens: 3}}
		open(t, tel, melleatest.NewBackend(reply, done), func(s *mellea.Session) {
			_, err := s.Chat(t.Context(), "The weather in Bern?")
			must(t, err)
			asked, err := s.Chat(t.Context(), "Again?", mellea.MaxToolTurns(0))
			must(t, err)
			_, err = s.CallTools(t.Context(), asked.ToolCalls())
			must(t, err)
		}, mellea.WithTools(weather), mellea.WithHooks(deny), mellea.WithConversationID("conv-9"))

		ctx, cancel := context.WithCancel(t.Context())
		hang := tool.New("hang", "", func(ctx context.Context, _ struct{}) (int, error) {
			cancel()
			<-ctx.Done()
			return 0, ctx.Err()
		}, tool.ControlFlow())
		open(t, tel, melleatest.NewBackend(melleatest.Use("hang", "")), func(s *mellea.Session) {
			if _, err := s.Chat(ctx, "Hang."); !errors.Is(err, context.Canceled) {
				t.Errorf("error is %v, want context.Canceled", err)
			}
			_, err := s.Chat(t.Context(), "Again and again.", mellea.NoTools(), mellea.Tools(weather), mellea.MaxToolTurns(1))
			wantError[*mellea.ToolBudgetError](t, err)
		}, mellea.WithTools(hang))
	},
	"a model in process": func(t *testing.T, tel *telemetry.Telemetry) {
		b := melleatest.NewBackend(melleatest.Say("hello")).WithInfo(backend.Info{Provider: "huggingface", Model: "smollm2", InProcess: true}, nil)
		open(t, tel, b, func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write.")
			must(t, err)
		})
	},
	"text that is not UTF-8": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"\xff\xfe", ""}, ResponseID: "\xff", FinishReason: "\xff"}), func(s *mellea.Session) {
			_, err := s.Instruct(t.Context(), "Write \xff.", mellea.Check(requirement.Contains("\xfe")))
			must(t, err)
		})
	},
	"a batch": func(t *testing.T, tel *telemetry.Telemetry) {
		model := melleatest.NewBackendFunc(func(_ int, r backend.Request) melleatest.Reply {
			if m, _ := r.Messages.Last(); strings.Contains(m.Text(), "long") {
				return melleatest.Fail(&backend.Error{Provider: "scripted", Op: "batch", Status: 400, Code: "too_long"})
			}
			return melleatest.Reply{Pieces: []string{" blue."}, Usage: content.Usage{InputTokens: 3, OutputTokens: 2}}
		}).WithInfo(backend.Info{Provider: "scripted", Model: "script-1", ServerAddress: "model.test", ServerPort: 443}, nil)
		on := mellea.On(model, mellea.WithHooks(tel))
		_, err := mellea.GenerateBatch(t.Context(), on, []string{"The sky is", "A long prompt", "The sea is"}, mellea.MaxTokens(8))
		must(t, err)
		if _, err := mellea.GenerateBatch(t.Context(), on, []string{"A long prompt"}); err == nil {
			t.Error("every item failed, want an error")
		}
		must(t, on.Close())
	},
	"a proxy that says what calls cost": func(t *testing.T, tel *telemetry.Telemetry) {
		address, transport := serveModel(t, http.Header{"X-Litellm-Response-Cost": {"2.85e-05"}, "X-Litellm-Call-Id": {"call-1"}}, answers("hello"))
		proxy := litellm.New(litellm.WithBaseURL(address), litellm.WithModel("gpt-4o-mini"), litellm.WithAPIKey("sk-test"), litellm.WithTransport(transport))
		open(t, tel, proxy, func(s *mellea.Session) {
			_, err := s.Chat(t.Context(), "Greet.")
			must(t, err)
			_, err = mellea.GenerateBatch(t.Context(), s, []string{"The sky is"})
			must(t, err)
		})
	},
	"prompts in one request": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers(" blue.")), func(s *mellea.Session) {
			_, err := mellea.GenerateBatch(t.Context(), s, []string{"The sky is", "The sea is"}, mellea.MaxTokens(8))
			must(t, err)
		})
	},
	"grades, choices, tiers, many chunks": func(t *testing.T, tel *telemetry.Telemetry) {
		open(t, tel, modelServer(t, answers("0.9", strings.Repeat("word ", 300))), func(s *mellea.Session) {
			_, err := s.Validate(t.Context(), "Dear all", requirement.Judge("be kind", requirement.JudgeScore(0.5)))
			must(t, err)
			_, err = s.Chat(t.Context(), "Go on.", mellea.Options(backend.Options{}.WithExtra("service_tier", "flex")), mellea.Stream(func(int, backend.Chunk) {}))
			must(t, err)
		})
		cached := content.Modality{InputTokens: 4, OutputTokens: 1, CacheReadTokens: 2}
		open(t, tel, melleatest.NewBackend(melleatest.Reply{Pieces: []string{"hello"}, ResponseModel: "script-1", Usage: content.Usage{InputTokens: 12, OutputTokens: 3, CacheReadTokens: 6,
			Text: cached, Image: cached, Audio: cached}}), func(s *mellea.Session) {
			_, err := s.Chat(t.Context(), "Greet.", mellea.Options(backend.Options{}.WithExtra("n", 2)))
			must(t, err)
		})
	},
	"plugins that fail": func(t *testing.T, tel *telemetry.Telemetry) {
		release := make(chan struct{})
		bad := hookpoint.Generation.Observe(func(context.Context, hookpoint.GenerationStart) { panic("planted") }, hook.Name("bad"))
		slow := hookpoint.Generation.Async(func(context.Context, hookpoint.GenerationOutcome) { <-release }, hook.Name("slow"), hook.QueueSize(1))
		open(t, tel, melleatest.NewBackend(melleatest.Say("hello")), func(s *mellea.Session) {
			for range 4 { // one is under way, one waits
				_, err := s.Chat(t.Context(), "Greet.")
				must(t, err)
			}
			close(release)
		}, mellea.WithHooks(bad, slow))
	},
	"the command line": func(t *testing.T, tel *telemetry.Telemetry) {
		deny := hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return hook.Reject("no", "not today") })
		for code, guards := range map[int][]hook.Source{0: nil, 1: nil, 2: nil, 3: nil, 4: {deny}, 130: nil, 143: nil} {
			ctx, end := tel.StartCommand(t.Context(), "run", "", []string{"--model=m", "--budget", "3", "a prompt"})
			d := mellea.On(modelServer(t, map[bool]func(int, backendtest.Received) (int, string, backendtest.Reply){
				true: refuses(500, ""), false: answers("hello")}[code == 3]), mellea.WithHooks(append(guards, tel)...))
			if _, err := mellea.Instruct(ctx, d, "Write."); (err != nil) != slices.Contains([]int{3, 4}, code) {
				t.Errorf("for exit code %d the call ended with %v", code, err)
			}
			must(t, d.Close())
			end(code)
		}
		_, end := tel.StartCommand(t.Context(), "demo", "list", nil)
		end(3)
	},
	"the demonstration": func(t *testing.T, tel *telemetry.Telemetry) {
		b, err := demo.Replay(replay.Instant)
		must(t, err)
		open(t, tel, b, func(s *mellea.Session) {
			_, err := demo.Explain(t.Context(), s, func(int, backend.Chunk) {})
			if _, unmet := errors.AsType[*mellea.UnmetError](err); err != nil && !unmet {
				t.Error(err)
			}
		})
	},
}
