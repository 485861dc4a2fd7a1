package telemetry

import (
	"cmp"
	"errors"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// levels says which records are wanted: a least level for all packages, and others for some. The package of a record is
// that of the function that logged it, so that nobody has to name loggers.
type levels struct {
	base  slog.Leveler
	rules []levelRule
	known sync.Map // of program counters: the rule of the package, nil for base
}

// A levelRule is the least level for a package and those beneath it.
type levelRule struct {
	name  string
	level slog.Level
}

const modulePath = "github.com/mellea-go/mellea"

// lowest is the least level that is wanted of any package.
func (l *levels) lowest() slog.Level {
	least := l.base.Level()
	for _, r := range l.rules {
		least = min(least, r.level)
	}
	return least
}

func (l *levels) want(r slog.Record) bool {
	if len(l.rules) == 0 || r.PC == 0 {
		return r.Level >= l.base.Level()
	}
	found, ok := l.known.Load(r.PC)
	if !ok {
		found, _ = l.known.LoadOrStore(r.PC, l.rule(packageOf(r.PC)))
	}
	if rule := found.(*levelRule); rule != nil {
		return r.Level >= rule.level
	}
	return r.Level >= l.base.Level()
}

// rule returns the one that says most about a package, nil for none.
func (l *levels) rule(path string) *levelRule {
	var best *levelRule
	most := -1
	for i, r := range l.rules {
		if n := matched(r.name, path); n > most {
			best, most = &l.rules[i], n
		}
	}
	return best
}

// matched returns how much of an import path a name stands for, -1 when it is another package's. Packages of this module
// may be named by what follows the module's path, and all of it by "mellea".
func matched(name, path string) int {
	if covers(name, path) {
		return len(name)
	}
	if !covers(modulePath, path) {
		return -1
	}
	below := strings.TrimPrefix(strings.TrimPrefix(path, modulePath), "/")
	if name == "mellea" {
		return len(modulePath)
	}
	if short, ok := strings.CutPrefix(name, "mellea/"); ok {
		name = short
	}
	if covers(name, below) {
		return len(modulePath) + 1 + len(name)
	}
	return -1
}

// covers reports whether path is name or beneath it.
func covers(name, path string) bool {
	rest, ok := strings.CutPrefix(path, name)
	return ok && (rest == "" || rest[0] == '/')
}

// packageOf returns the import path of the function at pc.
func packageOf(pc uintptr) string {
	frame, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	return packageOfFunction(frame.Function)
}

// packageOfFunction takes a name such as example.com/app/mail.(*Client).Send.func1 apart. In the last element of a path
// the linker escapes dots.
func packageOfFunction(name string) string {
	if i := strings.IndexByte(name, '['); i >= 0 { // type arguments may hold paths
		name = name[:i]
	}
	last := strings.LastIndexByte(name, '/') + 1
	path := name
	if dot := strings.IndexByte(name[last:], '.'); dot >= 0 {
		path = name[:last+dot]
	}
	if whole, err := url.PathUnescape(path); err == nil {
		return whole
	}
	return path
}

// parseLevels reads a level, or levels by package: "WARN", "INFO,backend=DEBUG,example.com/app=ERROR". A part that
// cannot be read is left out, and told of by the error.
func parseLevels(text string) (base slog.Level, rules []levelRule, err error) {
	set := false
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, level, named := strings.Cut(part, "=")
		if !named {
			level = name
		}
		name = strings.Trim(strings.TrimSpace(name), "/")
		l, ok := parseLevel(strings.TrimSpace(level))
		switch {
		case !ok, named && name == "", !named && set:
			err = errLevels
		case named:
			rules = slices.DeleteFunc(rules, func(r levelRule) bool { return r.name == name })
			rules = append(rules, levelRule{name: name, level: l})
		default:
			base, set = l, true
		}
	}
	slices.SortStableFunc(rules, func(a, b levelRule) int { return cmp.Compare(a.name, b.name) })
	return base, rules, err
}

var errLevels = errors.New("telemetry: not a list of levels")

// parseLevel reads the names of package slog, with offsets such as INFO+2, and those of Python.
func parseLevel(text string) (slog.Level, bool) {
	switch strings.ToUpper(text) {
	case "WARNING":
		return slog.LevelWarn, true
	case "CRITICAL", "FATAL":
		return slog.LevelError + 4, true
	}
	var l slog.Level
	err := l.UnmarshalText([]byte(text))
	return l, err == nil
}
