package redact

import "regexp"

// Secrets returns a rule for keys, tokens and passwords:
//
//   - keys that say whose they are: OpenAI, Anthropic and others (sk-…), GitHub, GitLab, AWS (with the secret key beside
//     it), Google, Slack, Hugging Face, Stripe, SendGrid, npm, PyPI, Groq, xAI, Replicate;
//   - JSON Web Tokens, private keys in PEM, what follows Bearer and Basic in a header, the password in a URL;
//   - the value behind a name that says it is secret: api_key=…, "password": "…", X-Api-Key: …, WATSONX_APIKEY=….
//
// A key of IBM Cloud looks like nothing in particular, so it is found by its name only.
func Secrets() Rule {
	return Rule{func(text string) string { return named(keys.rule().apply(text), func() {}) }}
}

var keys = shapes{
	// What spans lines or holds others comes first.
	{kind: "private-key", hint: "private key",
		re: regexp.MustCompile(`-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\z)`)},
	{kind: "jwt", hint: "eyj", re: regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*`)},
	{kind: "password", hint: "://", re: regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@"']*:([^\s/?#@"']+)@`)},

	{kind: "api-key", hint: "sk-", re: regexp.MustCompile(`\b(sk-[A-Za-z0-9_-]{20,})`), part: withDigit},
	{kind: "stripe-key", hint: "k_", re: regexp.MustCompile(`[srp]k_(?:live|test)_[A-Za-z0-9]{10,}`)},
	{kind: "stripe-key", hint: "whsec_", re: regexp.MustCompile(`whsec_[A-Za-z0-9+/=]{20,}`)},
	{kind: "github-token", hint: "gh", re: regexp.MustCompile(`gh[pousr]_[A-Za-z0-9]{30,}`)},
	{kind: "github-token", hint: "github_pat_", re: regexp.MustCompile(`github_pat_[A-Za-z0-9_]{20,}`)},
	{kind: "gitlab-token", hint: "glpat-", re: regexp.MustCompile(`glpat-[A-Za-z0-9_.-]{20,}`)},
	{kind: "aws-key", re: regexp.MustCompile(`A(?:KIA|SIA|IDA|ROA|BIA|CCA)[A-Z0-9]{16}(?:["']?[\s:,;/|=]{1,4}["']?[A-Za-z0-9/+]{40}\b)?`)},
	{kind: "google-key", hint: "aiza", re: regexp.MustCompile(`AIza[A-Za-z0-9_-]{35}`)},
	{kind: "google-token", hint: "ya29.", re: regexp.MustCompile(`ya29\.[A-Za-z0-9_-]{20,}`)},
	{kind: "google-secret", hint: "gocspx-", re: regexp.MustCompile(`GOCSPX-[A-Za-z0-9_-]{20,}`)},
	{kind: "slack-token", hint: "xox", re: regexp.MustCompile(`xox[abceoprs][.-][A-Za-z0-9.-]{10,}`)},
	{kind: "slack-token", hint: "xapp-", re: regexp.MustCompile(`xapp-[A-Za-z0-9-]{10,}`)},
	{kind: "slack-webhook", hint: "hooks.slack.com", re: regexp.MustCompile(`hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}`)},
	{kind: "huggingface-token", hint: "hf_", re: regexp.MustCompile(`\b(?:hf|api_org)_[A-Za-z0-9]{25,}`)},
	{kind: "sendgrid-key", hint: "sg.", re: regexp.MustCompile(`\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}`)},
	{kind: "npm-token", hint: "npm_", re: regexp.MustCompile(`\bnpm_[A-Za-z0-9]{30,}`)},
	{kind: "pypi-token", hint: "pypi-", re: regexp.MustCompile(`\bpypi-[A-Za-z0-9_-]{50,}`)},
	{kind: "groq-key", hint: "gsk_", re: regexp.MustCompile(`\bgsk_[A-Za-z0-9]{30,}`)},
	{kind: "xai-key", hint: "xai-", re: regexp.MustCompile(`\bxai-[A-Za-z0-9]{30,}`)},
	{kind: "replicate-token", hint: "r8_", re: regexp.MustCompile(`\br8_[A-Za-z0-9]{30,}`)},

	{kind: "bearer", hint: "bearer", re: regexp.MustCompile(`(?i)\bbearer[\s:]{1,4}([A-Za-z0-9._~+/=-]{12,})`), part: withDigit},
	{kind: "basic", hint: "basic", re: regexp.MustCompile(`(?i)authorization["']?\s{0,4}[:=]\s{0,4}["']?basic\s{1,4}([A-Za-z0-9+/=_-]{4,})`)},
}
