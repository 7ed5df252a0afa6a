package session

// list is a list through its elements, which embed listed. Removing an element takes
// the same time whatever the length.
type list[E listable[E]] struct{ head, tail E }

// listed is an element's place in a list.
type listed[E any] struct {
	prev, next E
	in         bool
}

type listable[E any] interface {
	comparable
	place() *listed[E]
}

func (l *listed[E]) place() *listed[E] { return l }

func (l *list[E]) push(e E) {
	var none E
	p := e.place()
	p.prev, p.next, p.in = l.tail, none, true
	if l.tail == none {
		l.head = e
	} else {
		l.tail.place().next = e
	}
	l.tail = e
}

func (l *list[E]) remove(e E) {
	var none E
	p := e.place()
	if p.prev == none {
		l.head = p.next
	} else {
		p.prev.place().next = p.next
	}
	if p.next == none {
		l.tail = p.prev
	} else {
		p.next.place().prev = p.prev
	}
	p.prev, p.next, p.in = none, none, false
}
