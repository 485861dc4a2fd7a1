package batch_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if out := os.Getenv(childOut); out != "" {
		os.Exit(child(out))
	}
	goleak.VerifyTestMain(m)
}
