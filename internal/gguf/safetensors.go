package gguf

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// inTensor is a tensor of a safetensors file.
type inTensor struct {
	dtype string
	shape []int // outermost first
	file  string
	start int64
	size  int64
}

// widths are the bytes of a number.
var widths = map[string]int64{"F32": 4, "F16": 2, "BF16": 2}

const (
	longestHeader = 64 << 20
	mostElements  = 1 << 40
)

// safetensors returns the tensors of the weights in a folder: model.safetensors, or the files its index lists.
func safetensors(dir fs.FS) (map[string]inTensor, error) {
	files := []string{"model.safetensors"}
	if data, err := readFile(dir, "model.safetensors.index.json"); err == nil {
		var index struct {
			Files map[string]string `json:"weight_map"`
		}
		if err := json.Unmarshal(data, &index); err != nil {
			return nil, &Error{File: "model.safetensors.index.json", Reason: "it is no JSON of an index", Err: err}
		}
		files = slices.Compact(slices.Sorted(maps.Values(index.Files)))
	}
	all := map[string]inTensor{}
	for _, file := range files {
		if !fs.ValidPath(file) {
			return nil, &Error{File: "model.safetensors.index.json", Reason: "it names a file that is not in the folder"}
		}
		if err := readHeader(dir, file, all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// readHeader adds the tensors of one file.
func readHeader(dir fs.FS, file string, all map[string]inTensor) error {
	f, err := dir.Open(file)
	if err != nil {
		return &Error{File: file, Reason: "it cannot be read", Err: err}
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return &Error{File: file, Reason: "it cannot be read", Err: err}
	}
	var length uint64
	if err := binary.Read(f, binary.LittleEndian, &length); err != nil || length > longestHeader || int64(length)+8 > info.Size() {
		return &Error{File: file, Reason: "it is no safetensors file", Err: err}
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(f, text); err != nil {
		return &Error{File: file, Reason: "it is no safetensors file", Err: err}
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		return &Error{File: file, Reason: "its header is no JSON", Err: err}
	}
	begin := int64(length) + 8
	for name, v := range raw {
		if name == "__metadata__" {
			continue
		}
		var t struct {
			DType   string  `json:"dtype"`
			Shape   []int   `json:"shape"`
			Offsets []int64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(v, &t); err != nil || len(t.Offsets) != 2 {
			return &Error{File: file, Reason: "its header is malformed", Err: err}
		}
		in := inTensor{dtype: t.DType, shape: t.Shape, file: file, start: begin + t.Offsets[0], size: t.Offsets[1] - t.Offsets[0]}
		if t.Offsets[0] < 0 || in.size < 0 || in.start+in.size > info.Size() || in.start < begin {
			return &Error{File: file, Reason: "a tensor lies outside of it"}
		}
		width, known := widths[t.DType]
		if n, ok := elements(t.Shape); known && (!ok || n*width != in.size) {
			return &Error{File: file, Reason: "a tensor has another size than its shape"}
		}
		if _, twice := all[name]; twice {
			return &Error{File: file, Reason: "a tensor is there twice"}
		}
		all[name] = in
	}
	return nil
}

func elements(shape []int) (int64, bool) {
	n := int64(1)
	for _, d := range shape {
		if d <= 0 || int64(d) > mostElements/n {
			return 0, false
		}
		n *= int64(d)
	}
	return n, true
}

// read returns the bytes of a tensor.
func (t inTensor) read(dir fs.FS) ([]byte, error) {
	data := make([]byte, t.size)
	err := t.each(dir, func(r io.Reader) error {
		_, err := io.ReadFull(r, data)
		return err
	})
	return data, err
}

// each calls f with a reader of the tensor's bytes.
func (t inTensor) each(dir fs.FS, f func(io.Reader) error) error {
	file, err := dir.Open(t.file)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only read
	if s, ok := file.(io.Seeker); ok {
		_, err = s.Seek(t.start, io.SeekStart)
	} else {
		_, err = io.CopyN(io.Discard, file, t.start)
	}
	if err != nil {
		return err
	}
	return f(io.LimitReader(file, t.size))
}

const largestJSON = 256 << 20

// readFile reads a file of JSON, which may be large but not endless.
func readFile(dir fs.FS, name string) ([]byte, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, largestJSON+1))
	if err == nil && len(data) > largestJSON {
		err = &Error{File: name, Reason: "it is too large"}
	}
	return data, err
}
