package watsonx_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for _, name := range []string{
		"WATSONX_URL", "WATSONX_API_KEY", "WATSONX_APIKEY", "WATSONX_PROJECT_ID", "WATSONX_SPACE_ID", "WATSONX_IAM_URL", "WATSONX_API_VERSION",
	} {
		os.Unsetenv(name)
	}
	goleak.VerifyTestMain(m)
}
