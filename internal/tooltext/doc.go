// Package tooltext puts tools into the text of a conversation, for models that know them by a convention of text alone:
// how they are offered, how a model asks for one, how it is told what that gave.
//
// Two conventions are known:
//
//   - [Hermes], that of NousResearch's Hermes models (github.com/NousResearch/Hermes-Function-Calling), which Qwen's
//     chat templates have too and most small open models learn: the tools are listed between <tools> and </tools> in
//     the system message, the model writes {"name": …, "arguments": …} between <tool_call> and </tool_call>, and results
//     come between <tool_response> and </tool_response> as a user's message.
//   - [Llama3], Meta's JSON based calling for Llama 3.1 and later, as in the chat templates of those models: the tools
//     are listed in the system message, a reply that calls one is {"name": …, "parameters": …} and nothing else, and
//     results are messages of the role ipython.
//
// Neither has ids: results stand in the order of their calls.
//
// What others have written does not become a part of the convention: where the arguments of a call, the result of a tool
// or its description have one of Hermes's tags, it has an escape in their JSON, so that a result cannot end itself and
// begin another; and where a user's message has the tag of a result, it gets a space, so that it is none.
package tooltext
