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
// Tools are offered to a model in the text of the conversation, since llama.cpp knows none. The convention is that of
// NousResearch's Hermes models, which Qwen's chat templates have too and most small open models learn: the tools are
// listed between <tools> and </tools> in the system message, the model writes a call as JSON between <tool_call> and
// </tool_call>, and is told its result between <tool_response> and </tool_response>
// (github.com/NousResearch/Hermes-Function-Calling). A model whose template shows that it has learned Meta's JSON based
// calling, as Llama 3.1 and later have, gets that; see [WithToolFormat]. Calls that the extra tool_choice demands, and
// those that a model begins between Hermes's tags, are held to the schemas of the tools by a grammar. Ids are made up:
// call_1 and so on through the conversation.
//
// llama.cpp is part of a program that is built with the tag llama (go build -tags llama). Such a program needs libffi
// and the C library when it starts, used or not, and without libffi it panics before main; nearly every Linux has both.
// Built without the tag a program needs neither, so that importing this package breaks none, and Info says what to do.
package local
