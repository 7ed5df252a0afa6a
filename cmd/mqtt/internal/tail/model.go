package tail

import (
	"time"

	tea "charm.land/bubbletea/v2"
)

// frame is the time between two pictures. What comes meanwhile goes into the tree and
// costs no drawing.
const frame = 100 * time.Millisecond

// frameMsg asks for the next picture.
type frameMsg time.Time

// model is the state of the screen. Only the program's loop touches it.
type model struct {
	tree   *tree
	status func() status // of the connection
	server string
	filter filter
	typed  string // the filter while it is typed
	typing bool
	order  order
	closed map[string]bool
	paused bool
	help   bool

	snapshot      snapshot
	now           time.Time
	state         status
	width, height int
	selected      string // topic
	at            int    // its row
	top           int    // the first row on the screen

	detail *detail // nil: the tree is shown
}

// status is what is known of the connection.
type status struct {
	text    string
	bad     bool
	dropped uint64
}

func newModel(t *tree, server string, s func() status) *model {
	return &model{tree: t, server: server, status: s, closed: map[string]bool{}, width: 80, height: 24, now: time.Now()}
}

// Init begins to draw.
func (m *model) Init() tea.Cmd {
	m.refresh()
	return nextFrame()
}

func nextFrame() tea.Cmd {
	return tea.Tick(frame, func(t time.Time) tea.Msg { return frameMsg(t) })
}

// Update takes a key, a new size or the time.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case frameMsg:
		m.now = time.Time(msg)
		m.tree.tick(m.now)
		m.state = m.status()
		if !m.paused {
			m.refresh()
		}
		return m, nextFrame()
	case tea.WindowSizeMsg:
		m.width, m.height = max(msg.Width, 1), max(msg.Height, 1)
		m.scroll()
	case tea.MouseWheelMsg:
		switch msg.Mouse().Button {
		case tea.MouseWheelUp:
			m.move(-3)
		case tea.MouseWheelDown:
			m.move(3)
		}
	case tea.PasteMsg:
		if m.typing {
			m.typed += msg.Content
			m.use(m.typed)
		}
	case tea.KeyPressMsg:
		return m, m.key(msg)
	}
	return m, nil
}

// refresh takes a new picture of the tree. The selection stays on its topic.
func (m *model) refresh() {
	m.snapshot = m.tree.snapshot(m.filter, m.order, m.closed)
	if m.detail != nil {
		m.detail.refresh(m.tree)
	}
	m.follow()
}

// follow finds the row of the selected topic again.
func (m *model) follow() {
	rows := m.snapshot.rows
	for i := range rows {
		if rows[i].topic == m.selected {
			m.at = i
			m.scroll()
			return
		}
	}
	m.at = min(max(m.at, 0), max(len(rows)-1, 0))
	if len(rows) > 0 {
		m.selected = rows[m.at].topic
	}
	m.scroll()
}

// move moves the selection, or the text of the detail view.
func (m *model) move(by int) {
	if m.detail != nil {
		m.detail.scroll(by)
		return
	}
	if len(m.snapshot.rows) == 0 {
		return
	}
	m.at = min(max(m.at+by, 0), len(m.snapshot.rows)-1)
	m.selected = m.snapshot.rows[m.at].topic
	m.scroll()
}

// scroll keeps the selected row on the screen.
func (m *model) scroll() {
	page := m.page()
	m.top = min(m.top, m.at)
	m.top = max(m.top, m.at-page+1)
	m.top = max(min(m.top, len(m.snapshot.rows)-page), 0)
}

// page returns how many rows there is room for, beside the two lines above and the line
// below.
func (m *model) page() int { return max(m.height-3, 1) }

func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case k.String() == "ctrl+c":
		return tea.Quit
	case m.typing:
		m.edit(k)
	case m.help:
		m.help = false
	case m.detail != nil:
		m.detailKey(k.String())
	default:
		return m.treeKey(k.String())
	}
	return nil
}

// edit changes the filter, which counts at once.
func (m *model) edit(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		m.typing = false
	case "esc":
		m.typing, m.typed = false, ""
	case "backspace":
		if r := []rune(m.typed); len(r) > 0 {
			m.typed = string(r[:len(r)-1])
		}
	case "ctrl+u":
		m.typed = ""
	default:
		m.typed += k.Key().Text
	}
	m.use(m.typed)
}

func (m *model) use(text string) {
	m.filter = newFilter(text)
	m.refresh()
}

func (m *model) treeKey(key string) tea.Cmd {
	switch key {
	case "q":
		return tea.Quit
	case "up", "k":
		m.move(-1)
	case "down", "j":
		m.move(1)
	case "pgup", "ctrl+b":
		m.move(-m.page())
	case "pgdown", "ctrl+f":
		m.move(m.page())
	case "home", "g":
		m.move(-len(m.snapshot.rows))
	case "end", "G":
		m.move(len(m.snapshot.rows))
	case "left", "h":
		m.close()
	case "right", "l":
		m.open()
	case "enter":
		if len(m.snapshot.rows) > 0 {
			m.detail = newDetail(m.selected, m.tree)
		}
	case "c":
		m.closeAll()
	case "e":
		clear(m.closed)
		m.refresh()
	case "/":
		m.typing = true
	case "esc":
		m.typed = ""
		m.use("")
	case "s":
		m.order = (m.order + 1) % orders
		m.refresh()
	case "space", "p":
		if m.paused = !m.paused; !m.paused {
			m.refresh()
		}
	case "?":
		m.help = true
	}
	return nil
}

// close closes the selected topic, or goes to the one above if there is nothing to close.
func (m *model) close() {
	if len(m.snapshot.rows) == 0 {
		return
	}
	r := m.snapshot.rows[m.at]
	if r.children > 0 && r.open && m.filter.text == "" {
		m.closed[r.topic] = true
		m.refresh()
		return
	}
	for i := m.at - 1; i >= 0; i-- {
		if m.snapshot.rows[i].depth < r.depth {
			m.move(i - m.at)
			return
		}
	}
}

// open opens the selected topic, or goes to the first one below it.
func (m *model) open() {
	if len(m.snapshot.rows) == 0 {
		return
	}
	r := m.snapshot.rows[m.at]
	switch {
	case r.children == 0:
	case r.open:
		m.move(1)
	default:
		delete(m.closed, r.topic)
		m.refresh()
	}
}

// closeAll leaves only the first levels open.
func (m *model) closeAll() {
	for _, r := range m.snapshot.rows {
		if r.depth == 0 && r.children > 0 {
			m.closed[r.topic] = true
		}
	}
	m.refresh()
}
