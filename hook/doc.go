// Package hook lets a library announce the steps it takes and lets others look at, guard and measure them.
//
// A [Point] is a typed value for a step that takes time, a [Signal] one for an instant. Whoever owns the step fires it:
//
//	out, err := Generation.Do(ctx, set, request, func(ctx context.Context, r Request) (Reply, error) { … })
//
// and whoever is interested binds to it and is installed in a [Set]:
//
//	set := (*hook.Set)(nil).With(hook.Plugin{Name: "audit", Sources: []hook.Source{Generation.Async(write)}})
//
// There is no registry and no global state: a Set is an immutable value, nil is the empty one, and a program, a session
// and a block of code each derive their own. A binding never fires for a Set it was not installed in.
//
// # Roles
//
// A subscriber binds in a role, and the role's function type says what it may do.
//
//	role      called                            may
//	Bracket   around the operation              derive the context; cannot fail or change the call
//	Guard     before the body, in series        rewrite the payload within what the point accepts, or reject
//	Check     before the body, in parallel      reject
//	Observe   before the body, in series        look
//	Review    after a body that succeeded       rewrite the result within what the point accepts, or reject
//	OnError   after an operation without result look
//	Async     after the operation, in the background, in order; looks
//
// # Order
//
// The order of one operation is fixed:
//
//  1. Start is taken, then brackets open, the lowest priority number outermost.
//  2. Guards run in series, each on the payload the one before it left.
//  3. Checks run in parallel on the payload the guards left. The first rejection cancels the others; all are awaited.
//  4. Observers run in series on that payload.
//  5. The body runs. The moment it ends is the operation's End.
//  6. Reviews run in series, only when the body succeeded.
//  7. OnError subscribers run when there is an error by now, a rejection and a cancellation included.
//  8. The outcome is put into the queue of each Async, which may be called before the next step is done.
//  9. Brackets close in reverse order.
//
// Within a role the lower [Priority] goes first; ties go by scope (program, session, block), then by order of
// installation. The default is 0. Priorities at or beyond ±1000 are the library's own: [PriorityTracing],
// [PriorityMetrics] and [PriorityLogs] are outermost, in this order.
//
// # Guarantees
//
// An operation that started has exactly one end, whatever happens: a result, an error, a panic or [runtime.Goexit] in the
// body, a rejection in any role, End called several times at once. Each bracket that opened closes once, innermost
// first, and each Async is handed one final [Outcome] (or counts it as dropped).
//
// A Bracket has no error result, so what is bound there cannot fail or change a call. A panic in a plugin is recovered
// where it happened: in a Bracket, Observe, OnError, Async or Signal it is reported and the call goes on (the brackets
// around it still close); in a Guard, Check or Review it denies the call unless that is bound with [FailOpen]. A bracket
// that returns a nil context keeps the one it was given.
//
// Guards, checks and reviews are given the context the brackets derived, so a model that judges a call is, in a trace,
// a child of the call it judges.
//
// A rejection is a [*Rejection] (found by [errors.As]), ends the operation as [Rejected] and closes every bracket, so a
// blocked call is visible. An error a guard returns because the operation's own context ended is no rejection: the
// operation then ends as [Cancelled], [Abandoned] or [Failed] by that error.
//
// A panic in the body ends the operation with [ErrPanicked] and goes on unwinding with its stack: it is not recovered.
//
// Start and End are taken once and handed to everyone, so a span and a duration metric of one operation are equal.
//
// # Cost
//
// Firing a point nobody listens to allocates nothing and reads no clock, with a nil Set and with a Set that listens
// elsewhere. An operation somebody listens to costs one allocation of this package's own with up to four brackets; what
// subscribers allocate comes on top. Several checks at one point, and a [Timeout], cost goroutines. Payloads travel by value, so their fields should be scalars and immutable types: the guarantee that an
// observer cannot change a call holds only for those.
//
// # Ownership
//
// A Set owns what its own installation started: the queues of its Async bindings and the goroutines of guards that
// outlived their timeout. [Set.Close] drains and awaits these, and leaves alone those of the Sets it was derived from and
// those of its siblings. The same plugin installed in two Sets has two queues.
//
// Everything in this package is safe for concurrent use.
package hook
