package main

import (
	"testing"

	"github.com/mellea-go/mellea/examples/recorded/recordedtest"
)

func TestTelemetry(t *testing.T) { recordedtest.OwnTelemetry(t, recording, run) } //nolint:paralleltest // it sets variables
