// Command mellea runs generative programs: prompts with requirements, on a model server or a recording.
package main

import (
	"os"

	"github.com/mellea-go/mellea/internal/cli"
)

func main() { os.Exit(cli.Main()) }
