package tail

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"github.com/seed65a45251/mqtt"
)

var start = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// A screenTest drives the model without a terminal.
type screenTest struct {
	t     *testing.T
	tree  *tree
	model *model
	now   time.Time
	state status
}

func newScreen(t *testing.T, l limits) *screenTest {
	s := &screenTest{t: t, now: start, state: status{text: "connected"}}
	s.tree = newTree(l, start)
	s.model = newModel(s.tree, "mqtt://localhost", func() status { return s.state })
	s.model.Init()
	s.model.Update(tea.WindowSizeMsg{Width: 100, Height: 16})
	return s
}

func (s *screenTest) receive(topic, payload string) {
	s.tree.record(&mqtt.Message{Topic: topic, Payload: []byte(payload)}, s.now)
}

// pass lets time pass and draws.
func (s *screenTest) pass(d time.Duration) {
	s.now = s.now.Add(d)
	s.model.Update(frameMsg(s.now))
}

// press presses keys, named as bubbletea names them, with blanks between.
func (s *screenTest) press(keys string) (command tea.Cmd) {
	for name := range strings.FieldsSeq(keys) {
		k := tea.Key{}
		switch name {
		case "enter":
			k.Code = tea.KeyEnter
		case "esc":
			k.Code = tea.KeyEscape
		case "left":
			k.Code = tea.KeyLeft
		case "right":
			k.Code = tea.KeyRight
		case "down":
			k.Code = tea.KeyDown
		case "end":
			k.Code = tea.KeyEnd
		case "backspace":
			k.Code = tea.KeyBackspace
		default:
			k.Code, k.Text = []rune(name)[0], name
		}
		_, command = s.model.Update(tea.KeyPressMsg(k))
	}
	return command
}

// lines returns what is on the screen, without styles.
func (s *screenTest) lines() []string {
	lines := strings.Split(ansi.Strip(s.model.View().Content), "\n")
	require.Len(s.t, lines, s.model.height)
	for _, line := range lines {
		require.LessOrEqual(s.t, ansi.StringWidth(line), s.model.width)
	}
	return lines
}

// topics returns the first words of the rows.
func (s *screenTest) topics() []string {
	var names []string
	for _, line := range s.lines()[2 : s.model.height-1] {
		if fields := strings.Fields(strings.Trim(line, " ▾▸")); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	return names
}

func TestTreeFills(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	require.Contains(t, s.lines()[2], "waiting for messages")
	s.receive("b/2", "two")
	s.receive("b/1", "one")
	s.receive("a", "alone")
	for range 9 {
		s.receive("b/2", "three")
	}
	s.pass(time.Second)
	require.Equal(t, []string{"a", "b", "1", "2"}, s.topics())
	lines := s.lines()
	require.Contains(t, lines[0], "3 topics · 12 messages"[2:])
	require.Regexp(t, `^  a +0\.3/s +1 +1s alone`, lines[2])
	require.Regexp(t, `^▾ b +3\.3/s +11 +1s`, lines[3])
	require.Regexp(t, `^    2 +3\.0/s +10 +1s three`, lines[5])
	for range 40 {
		s.pass(time.Second)
	}
	require.Regexp(t, `^▾ b +- +11`, s.lines()[3]) // rates come down
}

func TestMovingAndClosing(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	for _, topic := range []string{"a/x", "b/y", "c"} {
		s.receive(topic, "")
	}
	s.pass(time.Second)
	require.Equal(t, []string{"a", "x", "b", "y", "c"}, s.topics())
	s.press("left")
	require.Equal(t, []string{"a", "b", "y", "c"}, s.topics())
	require.Contains(t, s.lines()[2], "(1 below)")
	s.press("down down") // to y
	require.Equal(t, "b/y", s.model.selected)
	s.receive("a/w", "") // what comes does not move the selection
	s.receive("aa", "")
	s.pass(time.Second)
	require.Equal(t, "b/y", s.model.selected)
	s.press("left left")
	require.Equal(t, []string{"a", "aa", "b", "c"}, s.topics())
	s.press("e")
	require.Equal(t, []string{"a", "w", "x", "aa", "b", "y", "c"}, s.topics())
	s.press("c")
	require.Equal(t, []string{"a", "aa", "b", "c"}, s.topics())
}

func TestScrollingKeepsTheSelectionOnTheScreen(t *testing.T) {
	s := newScreen(t, limits{1000, 1})
	for i := range 200 {
		s.receive(fmt.Sprintf("t%03d", i), "")
	}
	s.pass(time.Second)
	s.press("end")
	topics := s.topics()
	require.Equal(t, "t199", topics[len(topics)-1])
	s.press("g")
	require.Equal(t, "t000", s.topics()[0])
	s.model.Update(tea.WindowSizeMsg{Width: 20, Height: 4}) // one row
	s.press("down")
	require.Equal(t, []string{"t001"}, s.topics())
	s.model.Update(tea.WindowSizeMsg{Width: 1, Height: 4})
	s.lines()
}

func TestFilter(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	for _, topic := range []string{"home/kitchen/temp", "home/hall/temp", "home/hall/light", "Office/temp"} {
		s.receive(topic, "")
	}
	s.pass(time.Second)
	s.press("/ h a l l")
	require.Equal(t, []string{"home", "hall", "light", "temp"}, s.topics())
	require.Contains(t, s.lines()[15], "filter: hall")
	s.press("backspace backspace backspace backspace o f f enter")
	require.Equal(t, []string{"Office", "temp"}, s.topics())
	s.press("esc / h o m e / + / t e m p enter")
	require.Equal(t, []string{"home", "hall", "temp", "kitchen", "temp"}, s.topics())
	s.press("/ x")
	require.Contains(t, s.lines()[2], "no topic fits")
	s.press("esc")
	require.Len(t, s.topics(), 8)
}

func TestOrder(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	s.receive("a", "")
	s.receive("b", "")
	s.receive("b", "")
	s.pass(time.Second)
	s.receive("c", "")
	s.pass(100 * time.Millisecond)
	s.press("s")
	require.Equal(t, []string{"b", "a", "c"}, s.topics())
	s.press("s")
	require.Equal(t, "c", s.topics()[0])
	s.press("s")
	require.Equal(t, []string{"a", "b", "c"}, s.topics())
}

func TestNamesWithNumbers(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	want := []string{"", "01", "1", "2", "9", "10", "10a", "a1b2", "a1b10", "a2", "b"}
	for _, i := range []int{4, 9, 2, 7, 5, 1, 8, 0, 10, 3, 6} {
		s.receive(want[i], "")
	}
	s.model.Update(tea.WindowSizeMsg{Width: 80, Height: 30})
	s.pass(time.Second)
	want[0] = "(empty)"
	require.Equal(t, want, s.topics())
}

func TestPauseKeepsThePicture(t *testing.T) {
	s := newScreen(t, limits{100, 10})
	s.receive("a", "before")
	s.pass(time.Second)
	s.press("p")
	s.receive("a", "after")
	s.receive("b", "")
	s.pass(time.Second)
	require.Equal(t, []string{"a"}, s.topics())
	require.Contains(t, s.lines()[2], "before")
	require.Contains(t, s.lines()[0], "paused")
	s.press("p")
	require.Equal(t, []string{"a", "b"}, s.topics())
	require.Contains(t, s.lines()[2], "after")
}

func TestDetails(t *testing.T) {
	s := newScreen(t, limits{100, 2})
	s.receive("a/b", "first")
	s.receive("a/b", `{"temp":21.5}`)
	s.tree.record(&mqtt.Message{
		Topic: "a/b", Payload: []byte{0xff, 0x00}, QoS: 1, Retain: true, ContentType: "image/x", CorrelationData: []byte{1},
		UserProperties: []mqtt.UserProperty{{Name: "from", Value: "\x1b[2Jme"}},
	}, s.now)
	s.pass(time.Second)
	s.press("down enter")
	screen := strings.Join(s.lines(), "\n")
	require.Contains(t, screen, "a/b\n")
	require.Contains(t, screen, "(2 of 2 kept)  QoS 1, retained, 2 bytes")
	require.Contains(t, screen, "content type: image/x\ncorrelation data: 01\nfrom: \\x1b[2Jme\n")
	require.Contains(t, screen, "00000000  ff 00")
	s.press("left")
	screen = strings.Join(s.lines(), "\n")
	require.Contains(t, screen, "{\n  \"temp\": 21.5\n}")
	s.press("m")
	require.Contains(t, strings.Join(s.lines(), "\n"), `{"temp":21.5}`)
	s.press("m")
	require.Contains(t, strings.Join(s.lines(), "\n"), "7b 22 74 65")
	// The message that is looked at stays, whatever comes.
	for range 5 {
		s.receive("a/b", "later")
	}
	s.pass(time.Second)
	screen = strings.Join(s.lines(), "\n")
	require.Contains(t, screen, "let go of by now")
	require.Contains(t, screen, "7b 22 74 65")
	s.press("right m")
	require.Contains(t, strings.Join(s.lines(), "\n"), "later")
	s.press("esc")
	require.Equal(t, []string{"a", "b"}, s.topics())
}

func TestMemoryIsBounded(t *testing.T) {
	s := newScreen(t, limits{50, 10})
	for i := range 100 {
		s.receive(fmt.Sprintf("t/%d", i), "")
	}
	s.receive(strings.Repeat("/", 60000), "deep")
	s.pass(time.Second)
	require.Equal(t, 50, s.tree.nodes)
	require.Contains(t, s.lines()[15], "52 messages left out")

	// Large values, of few topics and of many.
	large := strings.Repeat("x", 1<<20)
	s = newScreen(t, limits{10000, 10})
	for i := range 6000 {
		s.receive(fmt.Sprintf("t/%d", i), large[:keptPayload+i%2*1000])
	}
	require.LessOrEqual(t, s.tree.bytes, keptBytes)
	s.pass(time.Second)
	require.Contains(t, s.lines()[15], "memory is full")
	s.receive("t/0", large)
	s.pass(time.Second)
	s.press("down enter")
	require.Contains(t, strings.Join(s.lines(), "\n"), "1048576 bytes")
	s.press("end")
	require.Contains(t, strings.Join(s.lines(), "\n"), "1040384 further bytes")
	total := 0
	for e := s.tree.kept.Front(); e != nil; e = e.Next() {
		total += e.Value.(*kept).cost()
	}
	require.Equal(t, total, s.tree.bytes)
}

func TestHistoryOfATopicIsBounded(t *testing.T) {
	s := newScreen(t, limits{10, 3})
	for i := range 10 {
		s.receive("a", fmt.Sprint(i))
	}
	require.Len(t, s.tree.lookUp("a").history, 3)
	require.Equal(t, 3, s.tree.kept.Len())
	require.Equal(t, "9", string(s.tree.lookUp("a").current().message.Payload))
}

func TestNoticesAndQuit(t *testing.T) {
	s := newScreen(t, limits{10, 3})
	s.state = status{text: "no connection: refused", bad: true, dropped: 7}
	s.receive("evil\x1b[2J\u202e", "\x1b]0;title\a")
	s.pass(time.Second)
	content := s.model.View().Content
	require.NotContains(t, content, "\x1b[2J")
	require.NotContains(t, content, "\x1b]")
	require.Contains(t, s.lines()[0], "no connection: refused")
	require.Contains(t, s.lines()[15], "7 dropped")
	require.Contains(t, s.lines()[2], `evil\x1b[2J\u202e`)
	s.press("?")
	require.Contains(t, strings.Join(s.lines(), "\n"), "any key goes back")
	s.press("x")
	require.NotNil(t, s.press("q"))
}
