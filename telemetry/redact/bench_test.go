package redact

import (
	"strings"
	"testing"
)

func BenchmarkDefault(b *testing.B) {
	prose := strings.Repeat("Name the three longest rivers of Norway, and say how long each is: the answer is a list, not a table. ", 160)
	for name, text := range map[string]string{"prose": prose, "numbers": strings.Repeat("2026-11-25 10:30 12.5 1,000 ", 600)} {
		b.Run(name, func(b *testing.B) {
			redact := Default()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				redact("", text)
			}
		})
	}
}
