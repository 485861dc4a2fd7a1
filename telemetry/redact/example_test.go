package redact_test

import (
	"fmt"
	"regexp"

	"github.com/mellea-go/mellea/telemetry/redact"
)

func ExampleDefault() {
	clean := redact.Default()
	fmt.Println(clean("", "Mail jane@example.com or call +49 151 12345678."))
	fmt.Println(clean("", `{"card": "4111 1111 1111 1111", "password": "correct horse"}`))
	fmt.Println(clean("", "Order 4111111111111112 of 2026-11-25 costs 12.50"))
	// Output:
	// Mail [redacted:email] or call [redacted:phone].
	// {"card": "[redacted:card]", "password": "[redacted:secret]"}
	// Order 4111111111111112 of 2026-11-25 costs 12.50
}

func ExampleAll() {
	clean := redact.All(redact.Secrets(), redact.Pattern(regexp.MustCompile(`CASE-\d+`), "[case]"))
	fmt.Println(clean("", "CASE-17 came with api_key=0123-abcd"))
	// Output: [case] came with api_key=[redacted:secret]
}
