// Command semconvgen generates the constants, the registry data and the
// reference page of package telemetry/semconv.
//
//	go run ./internal/semconvgen -mellea telemetry/semconv/mellea.yaml \
//	    -out telemetry/semconv -doc docs/telemetry/reference.md \
//	    [-genai genai-registry.json]
//
// The GenAI part is written only when -genai, or the variable GENAI_REGISTRY,
// names a registry: a JSON file with every reference resolved, and the content
// schemas in the folder schemas beside it. Otherwise the committed part stays as
// it is and is what mellea.yaml is checked against.
//
// It writes nothing when either input has a fault.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// genAIVariable names the environment variable that is the default of -genai.
const genAIVariable = "GENAI_REGISTRY"

func main() {
	genai := flag.String("genai", os.Getenv(genAIVariable), "resolved GenAI registry, JSON; default $"+genAIVariable)
	mellea := flag.String("mellea", "mellea.yaml", "this project's registry")
	out := flag.String("out", ".", "folder of the generated Go files")
	doc := flag.String("doc", "", "reference page to write; empty: none")
	flag.Parse()
	if err := run(*genai, *mellea, *out, *doc); err != nil {
		fmt.Fprintln(os.Stderr, "semconvgen:", err)
		os.Exit(1)
	}
}

func run(genaiPath, melleaPath, outDir, docPath string) error {
	files := map[string][]byte{}
	upstream := committed()
	if genaiPath != "" {
		var err error
		if upstream, err = loadGenAI(genaiPath); err != nil {
			return err
		}
		if err := add(files, outDir, upstream, renderGenAI); err != nil {
			return err
		}
	}
	own, err := loadMellea(melleaPath, upstream)
	if err != nil {
		return err
	}
	if err := add(files, outDir, own, renderMellea); err != nil {
		return err
	}
	if docPath != "" {
		files[docPath] = renderDoc(own, upstream)
	}
	var errs []error
	for name, data := range files {
		errs = append(errs, os.WriteFile(name, data, 0o644))
	}
	return errors.Join(errs...)
}

func add(files map[string][]byte, dir string, reg *registry, render func(*registry) (map[string][]byte, error)) error {
	rendered, err := render(reg)
	if err != nil {
		return err
	}
	for name, data := range rendered {
		files[filepath.Join(dir, name)] = data
	}
	return nil
}
