package content

import (
	"iter"
	"slices"
)

// List is an immutable sequence. The zero List is empty and ready to use. Copying a List shares its elements, which
// is safe because nothing can change them.
type List[T any] struct{ items []T }

// ListOf returns a List of items. The slice is copied: later changes to it do not show.
func ListOf[T any](items ...T) List[T] {
	if len(items) == 0 {
		return List[T]{}
	}
	return List[T]{items: slices.Clone(items)}
}

// Len returns the number of elements.
func (l List[T]) Len() int { return len(l.items) }

// At returns element i. It panics when i is out of range, as indexing a slice does.
func (l List[T]) At(i int) T { return l.items[i] }

// Last returns the last element, and false when the List is empty.
func (l List[T]) Last() (T, bool) {
	if len(l.items) == 0 {
		var zero T
		return zero, false
	}
	return l.items[len(l.items)-1], true
}

// All iterates over index and element, in order.
func (l List[T]) All() iter.Seq2[int, T] { return slices.All(l.items) }

// Values iterates over the elements, in order.
func (l List[T]) Values() iter.Seq[T] { return slices.Values(l.items) }

// Append returns a List with items behind those of l; l itself stays as it is.
func (l List[T]) Append(items ...T) List[T] {
	if len(items) == 0 {
		return l
	}
	out := make([]T, 0, len(l.items)+len(items))
	return List[T]{items: append(append(out, l.items...), items...)}
}

// Concat returns a List with the elements of l and then those of m.
func (l List[T]) Concat(m List[T]) List[T] {
	if len(l.items) == 0 {
		return m
	}
	return l.Append(m.items...)
}

// From returns the elements from index i on, sharing storage with l.
func (l List[T]) From(i int) List[T] { return List[T]{items: slices.Clip(l.items[i:])} }

// Slice returns the elements as a new slice that the caller owns; nil for an empty List.
func (l List[T]) Slice() []T { return slices.Clone(l.items) }
