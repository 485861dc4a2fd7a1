package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds on an expression, which a model writes.
const (
	maxExpression = 1000
	maxNesting    = 100
)

// calculate works out an arithmetic expression.
func calculate(expression string) (float64, error) {
	if len(expression) > maxExpression {
		return 0, fmt.Errorf("the expression has more than %d characters", maxExpression)
	}
	p := &expressionParser{text: strings.NewReplacer("×", "*", "÷", "/", "−", "-", "**", "^").Replace(expression)}
	x, err := p.sum()
	if err != nil {
		return 0, err
	}
	switch {
	case p.peek() != 0:
		return 0, p.unexpected()
	case math.IsNaN(x) || math.IsInf(x, 0):
		return 0, fmt.Errorf("the result is not a number: it is too large, or something is divided by zero")
	}
	return x, nil
}

// expressionParser works out an expression as it reads it: sums of products of powers.
type expressionParser struct {
	text  string
	at    int
	depth int
}

// peek returns the next character that is no space, 0 at the end.
func (p *expressionParser) peek() byte {
	for p.at < len(p.text) && (p.text[p.at] == ' ' || p.text[p.at] == '\t' || p.text[p.at] == '\n') {
		p.at++
	}
	if p.at == len(p.text) {
		return 0
	}
	return p.text[p.at]
}

func (p *expressionParser) unexpected() error {
	if p.at == len(p.text) {
		return fmt.Errorf("the expression ends too early")
	}
	return fmt.Errorf("the expression is wrong at character %d", p.at+1)
}

func (p *expressionParser) sum() (float64, error) {
	x, err := p.product()
	for err == nil {
		op := p.peek()
		if op != '+' && op != '-' {
			break
		}
		p.at++
		var y float64
		if y, err = p.product(); op == '-' {
			y = -y
		}
		x += y
	}
	return x, err
}

func (p *expressionParser) product() (float64, error) {
	x, err := p.signed()
	for err == nil {
		op := p.peek()
		if op != '*' && op != '/' && op != '%' {
			break
		}
		p.at++
		var y float64
		y, err = p.signed()
		switch op {
		case '*':
			x *= y
		case '/':
			x /= y
		default:
			x = math.Mod(x, y)
		}
	}
	return x, err
}

// signed reads a power, which binds closer than the sign before it: -2^2 is -4.
func (p *expressionParser) signed() (float64, error) {
	if p.depth++; p.depth > maxNesting {
		return 0, fmt.Errorf("the expression is nested more than %d deep", maxNesting)
	}
	defer func() { p.depth-- }()
	switch p.peek() {
	case '-':
		p.at++
		x, err := p.signed()
		return -x, err
	case '+':
		p.at++
		return p.signed()
	}
	x, err := p.operand()
	if err != nil || p.peek() != '^' {
		return x, err
	}
	p.at++
	y, err := p.signed() // from the right: 2^3^2 is 2^9
	return math.Pow(x, y), err
}

func (p *expressionParser) operand() (float64, error) {
	if p.peek() == '(' {
		p.at++
		x, err := p.sum()
		if err == nil && p.peek() != ')' {
			err = p.unexpected()
		}
		p.at++
		return x, err
	}
	end := p.at
	for end < len(p.text) && (p.text[end] >= '0' && p.text[end] <= '9' || p.text[end] == '.') {
		end++
	}
	// An exponent, such as that of 1.5e-3.
	if end > p.at && end < len(p.text) && (p.text[end] == 'e' || p.text[end] == 'E') {
		exponent := end + 1
		if exponent < len(p.text) && (p.text[exponent] == '+' || p.text[exponent] == '-') {
			exponent++
		}
		if exponent < len(p.text) && p.text[exponent] >= '0' && p.text[exponent] <= '9' {
			for end = exponent; end < len(p.text) && p.text[end] >= '0' && p.text[end] <= '9'; {
				end++
			}
		}
	}
	x, err := strconv.ParseFloat(p.text[p.at:end], 64)
	if err != nil && !math.IsInf(x, 0) {
		return 0, p.unexpected()
	}
	p.at = end
	return x, nil
}
