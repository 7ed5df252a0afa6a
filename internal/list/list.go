// Package list is a list through its elements, so that one of 100,000 is taken out as
// fast as one of two.
package list

// List is a list of elements that embed a [Place]. The zero value is empty.
type List[E Listable[E]] struct{ first, last E }

// Place is an element's place in a list. An element is in one list at most.
type Place[E any] struct{ prev, next E }

// Listable is an element: a pointer to a struct that embeds a [Place].
type Listable[E any] interface {
	comparable
	place() *Place[E]
}

func (p *Place[E]) place() *Place[E] { return p }

// First returns the first element, nil if there is none.
func (l *List[E]) First() E { return l.first }

// Last returns the last element, nil if there is none.
func (l *List[E]) Last() E { return l.last }

// Push makes e, which is in no list, the last element.
func (l *List[E]) Push(e E) {
	var none E
	p := e.place()
	p.prev, p.next = l.last, none
	if l.last == none {
		l.first = e
	} else {
		l.last.place().next = e
	}
	l.last = e
}

// Remove takes out e, which is in the list.
func (l *List[E]) Remove(e E) {
	var none E
	p := e.place()
	if p.prev == none {
		l.first = p.next
	} else {
		p.prev.place().next = p.next
	}
	if p.next == none {
		l.last = p.prev
	} else {
		p.next.place().prev = p.prev
	}
	p.prev, p.next = none, none
}
