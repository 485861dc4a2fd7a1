package telemetry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
)

// A password is known by the name of its member, whatever it is made of.
func TestPasswordsOfMembers(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"ab&cd1234", "the quick brown fox", "(S3cret)", "my dog 2024", `say "friend"`, "a\nb, c"} {
		args := fmt.Sprintf(`{"password":%q,"city":"Oslo"}`, value)
		m := content.NewMessage(content.RoleAssistant, content.ToolCall{Name: "login", Arguments: args})
		for key, doc := range telemetry.CaptureForTest(content.NewMessages(m), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, redact.Default()) {
			if !strings.Contains(doc, `"password":"[redacted]"`) || !strings.Contains(doc, "Oslo") {
				t.Errorf("%s of %s: %s", key, args, doc)
			}
		}
	}
}

// The address of an image is recorded without its user and password.
func TestAddressesHaveNoUser(t *testing.T) {
	t.Parallel()
	image, err := content.ImageURL("https://someone:planted@example.com/a.png?size=1")
	if err != nil {
		t.Fatal(err)
	}
	m := content.NewMessage(content.RoleUser, image)
	for key, doc := range telemetry.CaptureForTest(content.NewMessages(m), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, nil) {
		if !strings.Contains(doc, `"https://example.com/a.png?size=1"`) {
			t.Errorf("%s: %s", key, doc)
		}
	}
}

// Brackets in texts do not hide how deep a document nests: what is too deep for a trace is recorded as a text.
func TestBracketsInTextsAreNoNesting(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100) + strings.Repeat("]", 100)
	for name, result := range map[string]string{
		"closing ones before": `["` + strings.Repeat("]", 200) + `",` + deep + `]`,
		"after an escape":     `["\"` + strings.Repeat("]", 200) + `",` + deep + `]`,
	} {
		m := content.NewMessage(content.RoleTool, content.ToolResult{Content: result})
		for key, doc := range telemetry.CaptureForTest(content.NewMessages(m), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, nil) {
			if !strings.Contains(doc, `"response":"[`) {
				t.Errorf("%s, %s: %.80s is no text", name, key, doc)
			}
		}
	}
	flat := content.NewMessage(content.RoleTool, content.ToolResult{Content: `["` + strings.Repeat("[", 200) + `"]`})
	for key, doc := range telemetry.CaptureForTest(content.NewMessages(flat), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, nil) {
		if !strings.Contains(doc, `"response":["[`) {
			t.Errorf("%s: %.80s is not structured", key, doc)
		}
	}
}

// A message of many parts is cut to size whatever their number.
func TestManyPartsAreCut(t *testing.T) {
	t.Parallel()
	parts := make([]content.Part, 3000)
	for i := range parts {
		parts[i] = content.Text(strings.Repeat("x", 1000))
	}
	m := content.NewMessage(content.RoleUser, parts...)
	for key, doc := range telemetry.CaptureForTest(content.NewMessages(m), content.List[content.ToolSpec]{}, content.Message{}, 16384, nil) {
		strict(t, key, doc)
		if len(doc) > 16384 || len(doc) < 8000 {
			t.Errorf("%s has %d bytes, want what fits into 16384", key, len(doc))
		}
	}
}
