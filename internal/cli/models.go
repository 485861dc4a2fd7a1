package cli

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
)

func (a *app) modelsCommand() *cobra.Command {
	var (
		s      server
		output string
	)
	cmd := &cobra.Command{
		Use:   "models",
		Short: "List the models that a backend has",
		Long: `Models asks the backend which models it has: those that a server has installed or serves, or those
in the cache. On a terminal they are a table, in a pipe lines of name, size in bytes, time of the last
change and owner, parted by tabs; what the server does not tell is empty.`,
		Example: `  mellea models
  mellea models --backend openai --base-url http://localhost:8000/v1
  mellea models --output json
  mellea models | cut -f 1
  mellea models pull llama3.2`,
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			return a.models(cmd.Context(), s, output)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	s.listFlags(fs)
	fs.StringVar(&output, "output", "text", "`format`: text or json")
	a.complete(cmd, "backend", listingNames)
	a.complete(cmd, "output", outputNames)
	cmd.AddCommand(a.pullCommand())
	return cmd
}

// jsonModel is an element of what mellea models --output json prints. What the server does not tell is absent.
type jsonModel struct {
	Name     string     `json:"name"`
	Size     int64      `json:"size,omitempty"`
	Modified *time.Time `json:"modified,omitempty"`
	Owner    string     `json:"owner,omitempty"`
}

func (a *app) models(ctx context.Context, s server, output string) error {
	s.listing = true
	b, closeBackend, err := a.open(ctx, s)
	if err != nil {
		return err
	}
	defer func() { _ = closeBackend() }() // nothing was recorded
	lister, ok := b.(backend.ModelLister)
	if !ok {
		return &usageError{text: "this backend cannot tell which models it has"}
	}
	all, err := lister.ListModels(ctx)
	if err != nil {
		return err
	}
	switch {
	case output == "json":
		docs := make([]jsonModel, len(all))
		for i, m := range all {
			docs[i] = jsonModel{Name: m.Name, Size: m.Size, Owner: m.Owner}
			if !m.Modified.IsZero() {
				at := m.Modified.UTC()
				docs[i].Modified = &at
			}
		}
		return a.printJSON(docs)
	case a.Stdout.Terminal:
		return a.printModels(all)
	default:
		return a.listModels(all)
	}
}

// printModels prints a table for people.
func (a *app) printModels(all []backend.ModelInfo) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.Stdout, "The backend has no models. With Ollama, `mellea models pull llama3.2` installs one.")
		return err
	}
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tSIZE\tMODIFIED\tOWNER")
	for _, m := range all {
		size, modified := "", ""
		if m.Size > 0 {
			size = bytesText(m.Size)
		}
		if !m.Modified.IsZero() {
			modified = m.Modified.Format(time.DateOnly)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", field(m.Name), size, modified, field(m.Owner))
	}
	return w.Flush()
}

// listModels prints lines for programs.
func (a *app) listModels(all []backend.ModelInfo) error {
	var b strings.Builder
	for _, m := range all {
		size, modified := "", ""
		if m.Size > 0 {
			size = fmt.Sprint(m.Size)
		}
		if !m.Modified.IsZero() {
			modified = m.Modified.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\n", field(m.Name), size, modified, field(m.Owner))
	}
	if _, err := fmt.Fprint(a.Stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// field returns what a server says as one field of a line.
func field(text string) string { return strings.ReplaceAll(oneLine(text), "\t", " ") }

// bytesText returns a size for people, in powers of 1000 as files are sold.
func bytesText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= unit.size {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(unit.size), unit.name)
		}
	}
	return fmt.Sprintf("%d B", n)
}

func (a *app) pullCommand() *cobra.Command {
	var (
		s        server
		insecure bool
	)
	cmd := &cobra.Command{
		Use:   "pull NAME",
		Short: "Install a model on an Ollama server, or bring it up to date",
		Long: `Pull has an Ollama server fetch a model from its registry. Cut off, it goes on where it was when it is
called again. A registry of your own is the beginning of the name.`,
		Example: `  mellea models pull llama3.2
  mellea models pull smollm2:135m --base-url http://gpu:11434
  mellea models pull registry.lan:5000/team/model --insecure`,
		Args:        oneModel,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			var opts []ollama.PullOption
			if insecure {
				opts = append(opts, ollama.AllowInsecure())
			}
			return a.pull(cmd.Context(), a.ollama(s), args[0], opts)
		},
	}
	cmd.Flags().StringVar(&s.baseURL, "base-url", "", "`URL` of the Ollama server; $OLLAMA_HOST")
	cmd.Flags().BoolVar(&insecure, "insecure", false, "ask the registry without TLS: whoever is in between can read and change what comes")
	return cmd
}

// oneModel wants one argument, in words that say what it is.
func oneModel(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return &usageError{text: "pull needs the name of one model, such as llama3.2: https://ollama.com/library has them"}
	}
	return nil
}

func (a *app) pull(ctx context.Context, b *ollama.Backend, name string, opts []ollama.PullOption) error {
	show := &pullView{out: a.Stderr, style: a.style(a.Stderr)}
	defer show.clear()
	for p, err := range b.Pull(ctx, name, opts...) {
		if err != nil {
			return err
		}
		show.update(p)
	}
	show.clear()
	fmt.Fprintf(a.Stderr, "mellea: %s is installed\n", oneLine(name))
	return nil
}

// pullView shows how far an installation has come: a bar on a terminal, a line for each step in a pipe.
type pullView struct {
	out   Output
	style style
	bar   bool
	shown time.Time
	step  string
}

func (v *pullView) update(p ollama.Progress) {
	step := p.Status
	if !v.out.Terminal {
		if step != v.step {
			v.step = step
			fmt.Fprintln(v.out, "mellea: "+oneLine(step))
		}
		return
	}
	now := time.Now()
	if step == v.step && now.Sub(v.shown) < refreshTime {
		return
	}
	v.step, v.shown = step, now
	text := "  " + v.style.faint(shorten(oneLine(step), 60))
	if p.Total > 0 {
		text = fmt.Sprintf("  %s %s of %s", bar(v.style, p.Completed, p.Total), bytesText(p.Completed), bytesText(p.Total)) + text
	}
	v.clear()
	fmt.Fprint(v.out, text)
	v.bar = true
}

// clear takes the bar away.
func (v *pullView) clear() {
	if v.bar {
		fmt.Fprint(v.out, "\r\x1b[K")
		v.bar = false
	}
}
