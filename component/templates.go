package component

import (
	"cmp"
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"text/template"
	"unicode"
	"unicode/utf8"
)

//go:embed templates
var embedded embed.FS

// ours is the library that every formatter falls back to.
var ours = sync.OnceValues(func() (*library, error) {
	fsys, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	return loadTemplates(fsys)
})

const (
	suffix        = ".tmpl"
	defaultFamily = "default"
)

// library is the templates of one file system, parsed. It does not change once it is loaded.
type library struct {
	families []family // those with more directories first, default last
}

// family is the templates of one directory: those for the models that every one of its directories names.
type family struct {
	dir       string   // as it stands in the file system, "" for default
	keys      []string // its directories, squeezed; none for default
	templates map[string]named
}

type named struct {
	*template.Template

	full string // "instruction", "granite/instruction"
}

// loadTemplates parses every template of a file system.
func loadTemplates(fsys fs.FS) (*library, error) {
	byDir := map[string]*family{}
	err := fs.WalkDir(fsys, ".", func(file string, e fs.DirEntry, err error) error {
		if err != nil {
			return &TemplateError{Template: file, Reason: "cannot be read", Err: err}
		}
		if e.IsDir() || path.Ext(file) != suffix {
			return nil
		}
		f, err := familyOf(file)
		if err != nil {
			return err
		}
		if byDir[f.dir] == nil {
			byDir[f.dir] = f
		}
		return byDir[f.dir].load(fsys, file)
	})
	if err != nil {
		return nil, err
	}
	if len(byDir) == 0 {
		return nil, &TemplateError{Template: "*" + suffix, Reason: "there is none in the file system", Remedy: placement}
	}
	l := &library{}
	for _, f := range byDir {
		l.families = append(l.families, *f)
	}
	slices.SortFunc(l.families, func(a, b family) int {
		return cmp.Or(
			cmp.Compare(len(b.keys), len(a.keys)),
			cmp.Compare(len(strings.Join(b.keys, "")), len(strings.Join(a.keys, ""))),
			cmp.Compare(a.dir, b.dir))
	})
	return l, nil
}

const placement = "put templates at default/NAME.tmpl or FAMILY/NAME.tmpl, and pass the file system of that level (fs.Sub)"

// familyOf returns the family that a file belongs to, without its templates.
func familyOf(file string) (*family, error) {
	f := &family{templates: map[string]named{}}
	dir := path.Dir(file)
	if dir == defaultFamily {
		return f, nil
	}
	f.dir = dir
	for d := range strings.SplitSeq(dir, "/") {
		key := squeeze(d)
		if key == "" || d == defaultFamily {
			return nil, &TemplateError{Template: file, Reason: "stands where no model finds it", Remedy: placement}
		}
		f.keys = append(f.keys, key)
	}
	return f, nil
}

func (f *family) load(fsys fs.FS, file string) error {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return &TemplateError{Template: file, Reason: "cannot be read", Err: err}
	}
	name := strings.TrimSuffix(path.Base(file), suffix)
	full := path.Join(f.dir, name)
	// The newline that ends the file is not part of what it renders.
	source := strings.TrimSuffix(strings.ReplaceAll(string(text), "\r\n", "\n"), "\n")
	t, err := parseTemplate(full, source)
	if err != nil {
		return badTemplate(full, err)
	}
	f.templates[name] = named{t, full}
	return nil
}

// find returns the template of that name for a model: that of the deepest family the model is of, else the default.
func (l *library) find(name, model string) (named, bool) {
	for i := range l.families {
		f := &l.families[i]
		t, ok := f.templates[name]
		if ok && !slices.ContainsFunc(f.keys, func(key string) bool { return !mentions(model, key) }) {
			return t, true
		}
	}
	return named{}, false
}

// squeeze leaves the letters and digits of s, in lower case.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}

// mentions reports whether key, which is squeezed, occurs in model once that is squeezed too.
func mentions(model, key string) bool {
	for i := range model {
		if begins(model[i:], key) {
			return true
		}
	}
	return false
}

// begins reports whether s, squeezed, begins with key.
func begins(s, key string) bool {
	for _, r := range s {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			continue
		}
		want, n := utf8.DecodeRuneInString(key)
		if n == 0 || unicode.ToLower(r) != want {
			break
		}
		key = key[n:]
	}
	return key == ""
}
