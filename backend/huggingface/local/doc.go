// Package local runs Hugging Face models inside the program: a GGUF file, or a folder of the hub's layout, by llama.cpp.
//
// llama.cpp comes as shared libraries that this package loads when the first model is; no C compiler takes part in the
// build. They are found in the folder that [WithLibrary] or MELLEA_LLAMA_LIB names, in a folder llama beside the
// program, or where the system keeps its libraries. They must be those of [LibraryVersion]: others have structures of
// another layout, which the package finds out before it passes any and refuses.
//
// One [Backend] holds its models for all sessions that use it. Their weights are loaded once, at the first
// [Backend.Info] or generation, and freed by [Backend.Close]. Each generation that runs has a context of its own, with
// the memory that takes; more than [WithContexts] at once wait for each other.
//
// llama.cpp is part of a program that is built with the tag llama (go build -tags llama). Such a program needs libffi
// and the C library when it starts, used or not, and without libffi it panics before main; nearly every Linux has both.
// Built without the tag a program needs neither, so that importing this package breaks none, and Info says what to do.
package local
