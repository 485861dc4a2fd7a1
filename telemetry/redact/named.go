package redact

import (
	"slices"
	"strings"
)

// secretNames are ends of names of secrets, in lower case and without what joins words.
var secretNames = []string{
	"apikey", "accesskey", "secretkey", "privatekey", "authkey", "encryptionkey", "signingkey", "subscriptionkey", "accountkey",
	"masterkey", "sharedkey", "sessionkey", "secretaccesskey", "token", "secret", "password", "passwd", "passphrase", "passwort",
	"pwd", "credential", "credentials",
}

// named replaces the values behind names of secrets: name=value, name: value, name => "value", "name": "value". looked is
// called for each byte that is looked at, so that a test can count.
func named(text string, looked func()) string {
	var out replaced
	for at := 0; at < len(text); at++ {
		looked()
		if text[at] != ':' && text[at] != '=' || at < out.done || !isSecret(text[:at], looked) {
			continue
		}
		from, to := value(text, at, looked)
		if from < to && !isPlaceholder(text[from:to]) {
			out.replace(text, from, to, "secret")
			at = to - 1
		}
	}
	return out.text(text)
}

// isSecret reports whether text ends with the name of a secret, quoted or not.
func isSecret(text string, looked func()) bool {
	text = strings.TrimRight(text[max(0, len(text)-64):], " \t")
	text = strings.TrimRight(text, `"'\`)
	var name []byte
	for i := len(text) - 1; i >= 0 && len(name) < len("secretaccesskey"); i-- {
		looked()
		switch c := text[i]; {
		case 'A' <= c && c <= 'Z':
			name = append(name, c+'a'-'A')
		case isWord(c) && c != '_':
			name = append(name, c)
		case c == '_', c == '-', c == ' ' && len(name) > 0, c == '.':
		default:
			i = 0
		}
	}
	slices.Reverse(name)
	return slices.ContainsFunc(secretNames, func(end string) bool { return strings.HasSuffix(string(name), end) })
}

// maxQuoted bounds how far a closing quote is looked for.
const maxQuoted = 4096

// value returns where the value behind a separator stands, without its quotes. Both are 0 where there is none, or one that
// is too short to be a secret.
func value(text string, at int, looked func()) (from, to int) {
	from = at + 1
	for n := 0; from < len(text) && n < 6 && strings.IndexByte("=> \t", text[from]) >= 0; n++ {
		from++
	}
	if from+1 < len(text) && text[from] == '\\' && (text[from+1] == '"' || text[from+1] == '\'') { // within a quoted text
		from++
	}
	if from == len(text) {
		return 0, 0
	}
	if quote := text[from]; quote == '"' || quote == '\'' {
		if end := closing(text, from+1, quote, looked); end-from-1 >= 3 {
			return from + 1, end
		}
		from++
	}
	to = from
	for to < len(text) && strings.IndexByte(" \t\r\n\"'`,;&<>(){}[]\\", text[to]) < 0 {
		looked()
		to++
	}
	if to-from < 4 {
		return 0, 0
	}
	return from, to
}

// closing returns where the quote is that ends what begins at from, or 0. In JSON within JSON that is a quote behind a
// backslash, as the one before was.
func closing(text string, from int, quote byte, looked func()) int {
	nested := from >= 2 && text[from-2] == '\\'
	for i := from; i < min(len(text), from+maxQuoted) && text[i] != '\n'; i++ {
		looked()
		switch {
		case text[i] == quote:
			return i
		case text[i] == '\\' && nested && i+1 < len(text) && text[i+1] == quote:
			return i
		case text[i] == '\\':
			i++
		}
	}
	return 0
}

// isPlaceholder tells what stands for a secret where a schema or a sentence speaks of one.
func isPlaceholder(s string) bool {
	switch s {
	case "null", "none", "None", "true", "false", "True", "False", "string", "number", "integer", "boolean", "object", "undefined", "empty", "required", "optional":
		return true
	}
	return false
}
