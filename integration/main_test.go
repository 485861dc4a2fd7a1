package integration_test

import (
	"os"
	"testing"

	"github.com/mellea-go/mellea/integration/components"
)

func TestMain(m *testing.M) { os.Exit(components.Main(m)) }
