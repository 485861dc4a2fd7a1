// Package gbnf writes JSON Schemas as grammars in GBNF, the notation of llama.cpp. A model that is held to such a grammar
// can write nothing but JSON that the schema allows.
//
// A grammar may be narrower than its schema: members come in the order of the schema, and a member that the schema does
// not name is not written. It is never wider but for keywords that no grammar of useful size expresses; those are listed
// in [Grammar.Loose].
package gbnf
