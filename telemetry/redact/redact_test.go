package redact

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// planted are secrets of all kinds that say what they are. They are put together here, so that no scanner takes them for
// keys that leaked.
func planted(r *rand.Rand) map[string]string {
	some := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = alphabet[r.IntN(len(alphabet))]
		}
		return string(b)
	}
	const upper, lower, number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz", "0123456789"
	const word = upper + lower + number
	return map[string]string{
		"openai": "sk-" + some(20, word) + "T3BlbkFJ" + some(20, word), "openai project": "sk-proj-" + some(60, word+"_-") + "1",
		"anthropic": "sk-ant-api03-" + some(93, word+"_-"), "github": "ghp_" + some(36, word), "github fine": "github_pat_" + some(22, word) + "_" + some(59, word),
		"aws": "AKIA" + some(16, upper+number), "google": "AIza" + some(35, word+"_-"), "slack": "xoxb-" + some(12, number) + "-" + some(24, word),
		"hugging face": "hf_" + some(34, word), "stripe": "sk_live_" + some(24, word), "gitlab": "glpat-" + some(20, word),
		"jwt": "eyJ" + some(20, word) + ".eyJ" + some(40, word+"_-") + "." + some(43, word+"_-"),
		"npm": "npm_" + some(36, word), "groq": "gsk_" + some(52, word), "sendgrid": "SG." + some(22, word) + "." + some(43, word),
	}
}

func TestDefault(t *testing.T) {
	t.Parallel()
	const aws = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\nabc+/=\n-----END RSA PRIVATE KEY-----"
	tests := []struct{ name, text, want string }{
		{"nothing", "Name three rivers of Norway.", "Name three rivers of Norway."},
		{"empty", "", ""},
		{"AWS pair", "AKIAIOSFODNN7EXAMPLE:" + aws, "[redacted:aws-key]"},
		{"AWS secret by name", "aws_secret_access_key = " + aws, "aws_secret_access_key = [redacted:secret]"},
		{"private key", "key:\n" + pem + "\nend", "key:\n[redacted:private-key]\nend"},
		{"private key cut short", pem[:50], "[redacted:private-key]"},
		{"private key in JSON", `{"k":"` + strings.ReplaceAll(pem, "\n", `\n`) + `"}`, `{"k":"[redacted:private-key]"}`},
		{"bearer", "Authorization: Bearer abc123def456ghi7", "Authorization: Bearer [redacted:bearer]"},
		{"the bearer of news", "the bearer of communications-equipment", "the bearer of communications-equipment"},
		{"basic", `"Authorization": "Basic dXNlcjpwYXNz"`, `"Authorization": "Basic [redacted:basic]"`},
		{"password in a URL", "postgres://app:hunter2@db:5432/x", "postgres://app:[redacted:password]@db:5432/x"},
		{"URL without one", "https://example.com:8080/a@b", "https://example.com:8080/a@b"},
		{"api key", "api_key=0123abcd", "api_key=[redacted:secret]"},
		{"IBM Cloud by name", "WATSONX_APIKEY=pXy-aB_3kLmN0pQrStUvWxYz0123456789abcdefgh", "WATSONX_APIKEY=[redacted:secret]"},
		{"header", "X-Api-Key: s3cr3t!", "X-Api-Key: [redacted:secret]"},
		{"password", "password: hunter2, user: bob", "password: [redacted:secret], user: bob"},
		{"password of words", `{"password": "correct horse \" battery", "user": "bob"}`, `{"password": "[redacted:secret]", "user": "bob"}`},
		{"JSON in JSON", `{\"password\": \"hunter2\"}`, `{\"password\": \"[redacted:secret]\"}`},
		{"a schema", `{"password":{"type":"string"}}`, `{"password":{"type":"string"}}`},
		{"tokens are no token", "max_tokens: 1000, password: null", "max_tokens: 1000, password: null"},
		{"words with dashes", "sk-learn-pipelines-are-nice-to-have and task-oriented-dialogue-systems-2", "sk-learn-pipelines-are-nice-to-have and task-oriented-dialogue-systems-2"},

		{"e-mail", "Write to Jane.Doe+x@mail.example.co.uk, please", "Write to [redacted:email], please"},
		{"no e-mail", "@everyone: a@b and 3@5.6", "@everyone: a@b and 3@5.6"},

		{"E.164", "call +4915112345678 now", "call [redacted:phone] now"},
		{"international", "call +49 (0)151 1234-5678.", "call [redacted:phone]."},
		{"and a year behind it", "+4915112345678 2024", "[redacted:phone] 2024"},
		{"00", "call 0049 151 12345678", "call [redacted:phone]"},
		{"North America", "(212) 555-0123, 212-555-0124,1-212-555-0125 212.555.0126", "[redacted:phone], [redacted:phone],[redacted:phone] [redacted:phone]"},
		{"national", "030 1234567 or 07700 900123", "[redacted:phone] or [redacted:phone]"},
		{"no phones", "2026-11-25 10:30:00, 192.168.100.200, 1234567890, v1.22.333, 3.14159265358, 212-555, 12-345-6789-0", "2026-11-25 10:30:00, 192.168.100.200, 1234567890, v1.22.333, 3.14159265358, 212-555, 12-345-6789-0"},

		{"card", "4111111111111111", "[redacted:card]"},
		{"card in groups", "pay 4111 1111 1111 1111, or 3782-822463-10005!", "pay [redacted:card], or [redacted:card]!"},
		{"card behind a number", "1234 4111 1111 1111 1111 99", "1234 [redacted:card] 99"},
		{"wrong check digit", "4111111111111112", "4111111111111112"},
		{"inside a longer number", "94111111111111111000000", "94111111111111111000000"},
		{"a time in nanoseconds", "1732500000000000000", "1732500000000000000"},

		{"IBAN", "DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432.", "[redacted:iban] and [redacted:iban]."},
		{"no IBAN", "DE89370400440532013002, AB12CD34EF56GH78", "DE89370400440532013002, AB12CD34EF56GH78"},
	}
	r := Default()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(r("", tt.text), tt.want); diff != "" {
				t.Errorf("text (-got +want):\n%s", diff)
			}
		})
	}
}

// A thousand keys of each kind, in prose, in JSON, behind names and in URLs: not one stays, nor does its longer half.
func TestSecretsFindKeys(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2)) // the same keys each time
	around := []string{"%s", "the key %s, and", `{"a":"%s"}`, "key=%s&x=1", "(%s)", "line\n%s\nline", "'%s'", "https://h/p?k=%s"}
	for range 1000 {
		for kind, key := range planted(r) {
			text := fmt.Sprintf(around[r.IntN(len(around))], key)
			if got := Secrets().Redact(text); strings.Contains(got, key[:8]) || strings.Contains(got, key[len(key)/2:]) {
				t.Fatalf("%s: %q becomes %q", kind, text, got)
			}
		}
	}
}

func TestAll(t *testing.T) {
	t.Parallel()
	mine := Pattern(regexp.MustCompile(`CASE-(\d+)`), "case($1)")
	got := All(mine, Rule{}, Emails())("gen_ai.input.messages", "CASE-12 of a@example.com, +4915112345678")
	if want := "case(12) of [redacted:email], +4915112345678"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := All()("", "a@example.com"); got != "a@example.com" {
		t.Errorf("no rules make %q", got)
	}
}

// Hostile texts take time linear in their length: what Go's regexp promises is not counted here, but what this package
// does itself is.
func TestWorkIsLinear(t *testing.T) {
	t.Parallel()
	const size, most = 200_000, 80
	for _, unit := range []string{"1", "1 ", "41", "4-", "4111 1111 1111 111", "DE89 3704 ", "DE", "DE89", "GB82WEST1234569876543", "a", "4111111111111111", "password:", `pwd="`, `pwd:'\`, "a token = ", "secret_access_key", "::::"} {
		text := strings.Repeat(unit, size/len(unit))
		n := 0
		looked := func() { n++ }
		cards(text, looked)
		ibans(text, looked)
		named(text, looked)
		if n > most*len(text) {
			t.Errorf("%d steps for %d bytes of %q…, want at most %d for a byte", n, len(text), unit, most)
		}
	}
}

// Rules bring texts through that are long and begin everything they look for.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	redact := Default()
	for _, unit := range []string{"a@", "eyJ", "eyJaaaaaaaa.", "sk-", "-----BEGIN PRIVATE KEY-----", `password="`, `password: \`, "http://a:", "+1", "(0", "00 1", "Bearer ", "AKIA", "token:'\\"} {
		text := strings.Repeat(unit, 100_000/len(unit))
		if got := redact("", text); len(got) > 20*len(text) {
			t.Errorf("%d bytes of %q… become %d", len(text), unit, len(got))
		}
	}
}

// Whatever is around them, planted keys are gone, and what was JSON is JSON, if nothing in it had to be escaped.
func FuzzDefault(f *testing.F) {
	f.Add("before ", " after", uint64(1))
	f.Add(`{"password": "`, `"}`, uint64(2))
	f.Add("4111 1111 ", "-----BEGIN PRIVATE KEY-----", uint64(3))
	f.Add("\xff\u2028", "a@b.cc +49", uint64(4))
	redact := Default()
	f.Fuzz(func(t *testing.T, before, after string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0)) // the same keys each time
		all := planted(r)
		for kind, key := range all {
			if got := redact("", before+" "+key+" "+after); strings.Contains(got, key) {
				t.Errorf("%s: %q leaves the key in %q", kind, before+" "+key+" "+after, got)
			}
		}
		doc, err := json.Marshal(map[string]any{before: after, "key": all["openai"], "list": []any{before, all["jwt"]}})
		if err != nil {
			t.Fatal(err)
		}
		if got := redact("", string(doc)); !json.Valid([]byte(got)) && !strings.Contains(string(doc), "PRIVATE KEY") && !strings.Contains(string(doc), `\`) {
			t.Errorf("JSON becomes\n%s\nwhich is none, from\n%s", got, doc)
		}
	})
}
