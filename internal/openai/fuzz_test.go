package openai_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/internal/openai"
)

// decodeTwice decodes doc, serves what it held with encode and decodes that again: the same must come out.
func decodeTwice(t *testing.T, doc []byte, encode func([]byte, *openai.Event) []byte) {
	var first, second openai.Decoder
	once, err := first.Decode(doc)
	if err != nil {
		if _, ok := errors.AsType[*openai.FormatError](err); !ok {
			t.Fatalf("got error %T, want a *FormatError", err)
		}
		return
	}
	again := encode(nil, once)
	twice, err := second.Decode(again)
	if err != nil {
		t.Fatalf("what was served does not decode: %v\n%s", err, again)
	}
	for i := range once.ToolCalls { // a server numbers calls from 0
		once.ToolCalls[i].Index = max(once.ToolCalls[i].Index, 0)
	}
	for i := range twice.ToolCalls {
		twice.ToolCalls[i].Index = max(twice.ToolCalls[i].Index, 0)
	}
	// A server always says who speaks, and has one choice, no error and no tools of its own.
	form := cmpopts.IgnoreFields(openai.Event{}, "Choices", "HasMessage", "HasRole", "HasError", "Moderated", "CostUSD", "HasCost", "ServerTools")
	if diff := cmp.Diff(twice, once, cmpopts.EquateEmpty(), form); diff != "" {
		t.Errorf("decoded again (-got +want):\n%s", diff)
	}
}

var replySeeds = []string{
	usualReply, usualChunk, `{}`, `{"error":{"message":"m","code":404}}`,
	`{"choices":[{"delta":{"reasoning":"r","refusal":"n","tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`,
	`{"choices":[{"message":{"content":[{"text":"a"},{"thinking":[{"text":"b"}]}]}}],"usage":{"prompt_tokens":1e3,"cache_creation_input_tokens":2,"completion_tokens_details":{"text_tokens":1}}}`,
	`{"choices":[],"usage":{"prompt_tokens":1,"cost":0.00014}}`, `{"usage":{"cost":{"total_cost":1}}}`, `{"usage":{"cost":-1e999}}`,
	`{"choices":[{"delta":{"executed_tools":[{"index":0,"type":"search","arguments":"{}","output":"o","search_results":{"results":[{"score":0.5}]}},{"index":1e9,"name":"python"}]}}]}`,
	`{"choices":[{"message":{"tool_calls":[{"id":"srvtoolu_1","function":{"name":"web_search","arguments":"{}"}}],"provider_specific_fields":{"web_search_results":[{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]}],"tool_results":null}}}]}`,
}

// What a document says of tools that the provider ran has a name or an id, is told in JSON that the document holds, and fails
// no reply but for its number.
func FuzzDecodeServerTools(f *testing.F) {
	for _, s := range []string{
		`[{"index":0,"type":"search","arguments":"{\"query\":\"x\"}","search_results":{"results":[]}}]`, `[{"type":"t","arguments":{"a":1},"output":"o"}]`,
		`[{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"url":"u"}]}]`, `[{"tool_use_id":1},7,null,[]]`, `{"output":"x"}`, `null`, `[{"":"","name":"\ud800","x":[[[[]]]]}]`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		if !jsontext.Value(list).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return
		}
		var d openai.Decoder
		ev, err := d.Decode(fmt.Appendf(nil, `{"choices":[{"message":{"content":"a","executed_tools":%s,"provider_specific_fields":{"tool_results":%[1]s}}}]}`, list))
		if err != nil {
			if e, ok := errors.AsType[*openai.FormatError](err); !ok || e.Reason != "has too many elements" {
				t.Fatalf("got error %v, want none", err)
			}
			return
		}
		if got := string(ev.Text); got != "a" {
			t.Errorf("got the text %q, want that of the reply", got)
		}
		for _, s := range ev.ServerTools {
			if s.Name == "" && s.ID == "" || s.Index < -1 || s.Index < 0 && s.ID == "" {
				t.Errorf("got %+v, want a name or an id", s)
			}
			if len(s.Result) > 0 && !jsontext.Value(s.Result).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) || len(s.Result) > 6*len(list)+8 {
				t.Errorf("got the result %q, want JSON of the document", s.Result)
			}
		}
	})
}

func FuzzDecodeReply(f *testing.F) {
	for _, s := range replySeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		decodeTwice(t, doc, func(dst []byte, ev *openai.Event) []byte {
			for i := range ev.ToolCalls { // whole replies do not number their calls
				ev.ToolCalls[i].Index = 0
			}
			return openai.AppendReply(dst, ev)
		})
	})
}

func FuzzDecodeChunk(f *testing.F) {
	for _, s := range replySeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) { decodeTwice(t, doc, openai.AppendChunk) })
}

func FuzzDecodeRequest(f *testing.F) {
	for _, s := range []string{
		`{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stop":["a"],"n":1,"x":{"y":[1,null]}}`,
		`{"messages":[{"role":"assistant","reasoning":"r","tool_calls":[{"id":"c","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"1"}]}`,
		`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"input_audio","input_audio":{"data":"UklGRg==","format":"wav"}},{"type":"text","text":"t"},{"type":"file","file":{"filename":"r.pdf","file_data":"data:application/pdf;base64,JVBERg=="}},{"type":"file","file":{"file_id":"f"}}]}]}`,
		`{"messages":[{"role":"user"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"response_format":{"type":"json_schema","json_schema":{"name":"a b","schema":{}}}}`,
		`{"messages":[{"role":"user"}],"temperature":-0.0,"top_p":1e-9,"seed":-1,"max_tokens":9,"reasoning_effort":"off","response_format":{"type":"json_object"},"stream_options":{"include_usage":true,"z":1}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		in, err := openai.DecodeRequest(doc)
		if err != nil {
			if _, ok := errors.AsType[*openai.FormatError](err); !ok {
				t.Fatalf("got error %T, want a *FormatError", err)
			}
			return
		}
		if _, ok := in.Request.Options.Extra("image_detail"); ok { // it goes into the images, which a server does not keep it of
			return
		}
		once, err := openai.AppendRequest(nil, in.Request, openai.Style{})
		if err != nil {
			if _, ok := errors.AsType[*openai.ValueError](err); !ok {
				t.Fatalf("got error %T, want a *ValueError", err)
			}
			return
		}
		again, err := openai.DecodeRequest(once)
		if err != nil {
			t.Fatalf("what was sent does not decode: %v\n%s", err, once)
		}
		twice, err := openai.AppendRequest(nil, again.Request, openai.Style{})
		if err != nil {
			t.Fatalf("what was decoded does not encode: %v\n%s", err, once)
		}
		if !bytes.Equal(once, twice) {
			t.Errorf("sent again:\ngot  %s\nwant %s", twice, once)
		}
	})
}
