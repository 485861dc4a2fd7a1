package tool

import "fmt"

// MaxName is how many bytes a name may have.
const MaxName = 64

// CheckName returns a [*NameError] unless every provider accepts name for a tool: at most [MaxName] letters, digits,
// underscores and hyphens of ASCII, of which the first is a letter or an underscore.
func CheckName(name string) error {
	switch {
	case name == "":
		return &NameError{Name: name, Reason: "it is empty"}
	case len(name) > MaxName:
		return &NameError{Name: name, Reason: fmt.Sprintf("it has %d bytes, at most %d are allowed", len(name), MaxName)}
	}
	for i := range len(name) {
		c := name[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return &NameError{Name: name, Reason: "only letters, digits, _ and - are allowed, and a letter or _ first"}
		}
	}
	return nil
}
