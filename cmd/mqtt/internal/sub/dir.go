package sub

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed65a45251/mqtt"
	"github.com/seed65a45251/mqtt/cmd/mqtt/internal/format"
)

// suffix ends the name of each file, so that the file of a topic and the directory of
// the topics below it have different names.
const suffix = ".log"

// longest is the longest name of a file or directory that systems take, in bytes.
const longest = 255

// dirWriter appends each message to the file of its topic. Topics cannot lead out of
// the directory.
type dirWriter struct {
	root    *os.Root
	printer *format.Printer
}

func openDir(dir string, printer *format.Printer) (*dirWriter, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	return &dirWriter{root, printer}, err
}

func (w *dirWriter) write(m *mqtt.Message, at time.Time) error {
	text, err := w.printer.Print(m, at)
	if err != nil {
		return err
	}
	name := filepath.FromSlash(pathOf(m.Topic))
	if err := w.root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return err
	}
	file, err := w.root.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	return errors.Join(err, file.Close())
}

func (*dirWriter) whenGone(func()) (stop func()) { return func() {} }

// pathOf returns the path of the file of a topic, with slashes. Two topics have two
// paths.
func pathOf(topic string) string {
	levels := strings.Split(topic, "/")
	for i, level := range levels {
		levels[i] = fileName(level)
		if i == len(levels)-1 {
			levels[i] += suffix
		}
	}
	return path.Join(levels...)
}

// fileName returns a name for a level of a topic: the level itself if it is harmless on
// every system, and otherwise with % and two digits in place of what is not.
func fileName(level string) string {
	var b strings.Builder
	for i := range len(level) {
		c := level[i]
		harmless := c > ' ' && c < 0x7f && !strings.ContainsRune(`%/\:*?"<>|`, rune(c)) || c >= 0x80
		// A dot at the beginning hides or leads up, one at the end Windows drops, and
		// the suffix is for files.
		if c == '.' && (i == 0 || i == len(level)-1 || level[i:] == suffix) {
			harmless = false
		}
		if harmless {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	name := b.String()
	if name == "" {
		name = "%" // no level becomes this
	}
	if len(name) > longest-len(suffix) {
		// What was cut off is told apart by a hash behind %%, which no level has.
		sum := fmt.Sprintf("%%%%%x", sha256.Sum256([]byte(level)))
		cut := longest - len(suffix) - len(sum)
		name = strings.ToValidUTF8(name[:cut], "") + sum
	}
	return name
}
