package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/mellea-go/mellea/backend/backendtest"
)

// cells are what a table shows for an outcome. One that is not in a row was not checked there.
var cells = map[backendtest.Outcome]string{
	backendtest.Pass: "✓", backendtest.Cannot: "–", backendtest.Fail: "✗",
}

const unchecked = "·"

// render returns the scoreboard: what each backend passes against its strict fake, what against real components, and
// what the options are called.
func render(rows []backendtest.Results) []byte {
	var fakes, reals []backendtest.Results
	for _, r := range rows {
		if r.Real {
			reals = append(reals, r)
		} else {
			fakes = append(fakes, r)
		}
	}
	var b bytes.Buffer
	b.WriteString("✓ works, and a test shows it · – the backend or its server does not have it, and refuses it when asked · ✗ a test fails · `·` not checked there\n")
	if len(fakes) > 0 {
		b.WriteString("\n### Against a strict fake of each server\n\nThe fake refuses what its API does not document. Every run of the tests compares these columns with what it finds.\n\n")
		if slices.ContainsFunc(fakes, func(r backendtest.Results) bool { return r.Against == backendtest.ScriptedEngine }) {
			b.WriteString("A model in process has a scripted engine in the place of a server; what only servers and networks do is not checked there.\n\n")
		}
		matrix(&b, fakes)
		reasons(&b, fakes)
	}
	if len(reals) > 0 {
		b.WriteString("\n### Against real components\n\nThe integration run compares these columns with what it finds.\n\n")
		matrix(&b, reals)
		b.WriteString("\n| column | served by | recorded |\n|---|---|---|\n")
		for _, r := range reals {
			fmt.Fprintf(&b, "| %s | %s | %s |\n", r.Backend, r.Against, r.Date)
		}
	}
	if len(fakes) > 0 {
		b.WriteString("\n### Options\n\nWhere a request has each neutral option, and what else shapes a reply. One that a backend does not have (–) is reported once and left out, or an error under `mellea.Strict()`.\n\n")
		options(&b, fakes)
	}
	return b.Bytes()
}

func matrix(b *bytes.Buffer, columns []backendtest.Results) {
	head(b, "feature", columns)
	for f := range backendtest.Features() {
		checked := false
		var line bytes.Buffer
		fmt.Fprintf(&line, "| %s |", f.Title)
		for _, c := range columns {
			cell, ok := cells[c.Features[f.ID]]
			if !ok {
				cell = unchecked
			}
			checked = checked || ok
			fmt.Fprintf(&line, " %s |", cell)
		}
		if checked {
			b.Write(line.Bytes())
			b.WriteByte('\n')
		}
	}
}

// reasons says why a feature cannot be had where nothing refuses it.
func reasons(b *bytes.Buffer, columns []backendtest.Results) {
	head := "\nNothing refuses these, as nobody can ask for them:\n\n"
	for f := range backendtest.Features() {
		for _, c := range columns {
			if reason := c.Reasons[f.ID]; reason != "" {
				fmt.Fprintf(b, "%s- %s, %s: %s.\n", head, c.Backend, f.Title, reason)
				head = ""
			}
		}
	}
}

func options(b *bytes.Buffer, columns []backendtest.Results) {
	head(b, "option", columns)
	names := map[string]bool{}
	for _, c := range columns {
		for name := range c.Options {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fmt.Fprintf(b, "| `%s` |", name)
		for _, c := range columns {
			if path := c.Options[name]; path != "" {
				fmt.Fprintf(b, " `%s` |", path)
			} else {
				b.WriteString(" – |")
			}
		}
		b.WriteByte('\n')
	}
}

func head(b *bytes.Buffer, first string, columns []backendtest.Results) {
	fmt.Fprintf(b, "| %s |", first)
	for _, c := range columns {
		fmt.Fprintf(b, " %s |", c.Backend)
	}
	b.WriteString("\n|---|")
	for range columns {
		b.WriteString(":-:|")
	}
	b.WriteByte('\n')
}
