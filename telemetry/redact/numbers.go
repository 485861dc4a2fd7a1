package redact

import (
	"regexp"
	"strings"
)

// Phones returns a rule for telephone numbers: international ones with a plus or 00 in front, those of North America with
// their separators (212-555-0123), and national ones that begin with a zero and have a separator (030 1234567). A number
// without any of that is taken for a number.
func Phones() Rule { return Rule{phones} }

// phones looks for the shapes where there are digits enough.
func phones(text string) string {
	const parts = "0123456789 ()+./-"
	var b strings.Builder
	done := 0
	for at := 0; at < len(text); at++ {
		if c := text[at]; !isDigit(c) && c != '+' && c != '(' {
			continue
		}
		from, n := at, 0
		for ; at < len(text) && strings.IndexByte(parts, text[at]) >= 0; at++ {
			if isDigit(text[at]) {
				n++
			}
		}
		if n < 8 {
			continue
		}
		from, to := max(from-1, done), min(at+1, len(text)) // what stands beside it counts
		if clean := phoneShapes.rule().apply(text[from:to]); clean != text[from:to] {
			b.WriteString(text[done:from])
			b.WriteString(clean)
			done, at = to, to-1
		}
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

var phoneShapes = shapes{
	{kind: "phone", hint: "+", re: regexp.MustCompile(`\+[1-9]\d{0,3}(?:[ .\-/]?\(?\d{1,5}\)?)+`), part: number(8, 15)},
	{kind: "phone", hint: "00", re: regexp.MustCompile(`(?:^|[^\w.\-/])(00[1-9]\d{0,2}(?:[ .\-/]\(?\d{1,12}\)?)+)`), part: number(10, 17)},
	{kind: "phone", re: regexp.MustCompile(`(?:^|[^\w.\-/(])((?:1[ .\-])?(?:\([2-9]\d{2}\)[ .\-]?|[2-9]\d{2}[ .\-])[2-9]\d{2}[ .\-]\d{4})\b`)},
	{kind: "phone", re: regexp.MustCompile(`(?:^|[^\w.\-/+(])(\(?0[1-9]\d{1,4}\)?[ /\-]\d{2,5}(?:[ \-]?\d{2,5}){0,3})\b`), part: number(9, 13)},
}

// number returns how much of a find is a number of that many digits. It ends where a group does.
func number(least, most int) func(string) int {
	return func(s string) int {
		n, found := 0, 0
		for i := range len(s) {
			if !isDigit(s[i]) {
				continue
			}
			n++
			if last := i+1 == len(s) || !isDigit(s[i+1]); last && n >= least && n <= most {
				found = i + 1
			}
		}
		return found
	}
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// Cards returns a rule for the numbers of payment cards: 13 to 19 digits that begin as an issuer's do and have the right
// check digit (ISO/IEC 7812-1, Luhn), in one piece or in groups with a space or a dash between them.
func Cards() Rule {
	return Rule{func(text string) string { return cards(text, func() {}) }}
}

// cards looks at every run of digits and single separators. A card begins and ends where a group does. looked is called for
// each digit that is looked at, so that a test can count.
func cards(text string, looked func()) string {
	var out replaced
	for at := 0; at < len(text); {
		if !isDigit(text[at]) {
			at++
			continue
		}
		run := at
		for at < len(text) && (isDigit(text[at]) || (text[at] == ' ' || text[at] == '-') && at+1 < len(text) && isDigit(text[at+1])) {
			at++
		}
		for from := run; from < at; {
			to := card(text[from:at], looked)
			switch {
			case to > 0:
				out.replace(text, from, from+to, "card")
				from += to
			default:
				for from < at && isDigit(text[from]) {
					looked()
					from++
				}
			}
			if from < at { // the separator
				from++
			}
		}
	}
	return out.text(text)
}

// card returns the length of the card number that run begins with, the longest that ends where a group does, or 0.
func card(run string, looked func()) int {
	const least, most = 13, 19
	var digits [most]byte
	n, found := 0, 0
	for i := range len(run) {
		looked()
		if !isDigit(run[i]) {
			continue
		}
		if n == most {
			break
		}
		digits[n] = run[i] - '0'
		n++
		if last := i+1 == len(run) || !isDigit(run[i+1]); last && n >= least && isCard(digits[:n]) {
			found = i + 1
		}
	}
	return found
}

func isCard(digits []byte) bool {
	switch d := digits; {
	case d[0] == 4, d[0] == 5, d[0] == 6, d[0] == 3 && d[1] != 1 && d[1] != 2 && d[1] != 3 && d[1] != 9:
	case d[0] == 2 && len(d) == 16 && d[1] >= 2 && d[1] <= 7:
	default:
		return false
	}
	sum := 0
	for i, d := range digits {
		v := int(d)
		if (len(digits)-i)%2 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		sum += v
	}
	return sum%10 == 0
}

// IBANs returns a rule for international bank account numbers (ISO 13616): those of a country that has them, of its
// length and with the right check digits, in one piece or in groups with spaces between them.
func IBANs() Rule {
	return Rule{func(text string) string { return ibans(text, func() {}) }}
}

// ibanLengths has the length by country.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27" +
	"GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27" +
	"MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

func ibanLength(country string) int {
	for at := 0; at+4 <= len(ibanLengths); at += 4 {
		if ibanLengths[at:at+2] == country {
			return int(ibanLengths[at+2]-'0')*10 + int(ibanLengths[at+3]-'0')
		}
	}
	return 0
}

func ibans(text string, looked func()) string {
	var out replaced
	for at := 0; at+15 <= len(text); {
		looked()
		if !isUpper(text[at]) || !isUpper(text[at+1]) || !isDigit(text[at+2]) || !isDigit(text[at+3]) || at > 0 && isWord(text[at-1]) {
			at++
			continue
		}
		n := iban(text[at:], looked)
		if n == 0 {
			at++
			continue
		}
		out.replace(text, at, at+n, "iban")
		at += n
	}
	return out.text(text)
}

// iban returns the length of the number that text begins with, or 0.
func iban(text string, looked func()) int {
	want := ibanLength(text[:2])
	if want == 0 {
		return 0
	}
	var number [34]byte
	n, at := 0, 0
	for ; at < len(text) && n < want; at++ {
		looked()
		switch c := text[at]; {
		case isUpper(c) || isDigit(c):
			number[n] = c
			n++
		case c == ' ' && at > 0 && text[at-1] != ' ':
		default:
			return 0
		}
	}
	if n < want || at < len(text) && isWord(text[at]) {
		return 0
	}
	rest := 0
	for i := range want {
		c := number[(i+4)%want]
		if isDigit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return 0
	}
	return at
}

func isUpper(c byte) bool { return 'A' <= c && c <= 'Z' }

func isWord(c byte) bool { return isUpper(c) || isDigit(c) || 'a' <= c && c <= 'z' || c == '_' }

// replaced is a text in which parts are replaced, from front to back.
type replaced struct {
	b    strings.Builder
	done int
}

func (r *replaced) replace(text string, from, to int, kind string) {
	r.b.WriteString(text[r.done:from])
	r.b.WriteString(label(kind))
	r.done = to
}

func (r *replaced) text(text string) string {
	if r.done == 0 {
		return text
	}
	r.b.WriteString(text[r.done:])
	return r.b.String()
}
