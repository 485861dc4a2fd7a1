module github.com/mellea-go/mellea

go 1.26

require (
	github.com/go-json-experiment/json v1.27.2 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/google/jsonschema-go v0.4.3 // indirect
	go.uber.org/goleak v1.3.0 // indirect
)
