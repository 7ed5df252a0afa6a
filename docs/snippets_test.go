package docs_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A block of Go or Python in a page is a copy of a region of a file that is compiled
// and tested. The page names file and region in a comment above the block:
//
//	<!-- code docs/guides/tls_test.go pinning -->
//
// The region stands in the file between the lines "// <pinning>" and "// </pinning>",
// in Python with # in place of //. Blocks of shell commands have a comment that says
// "run", or "not run: " and why.
//
//	go test ./docs -run TestPagesShowCodeThatIsTested -update    # rewrites the pages
var update = flag.Bool("update", false, "rewrite the blocks of code in the pages from their sources")

var (
	fence       = regexp.MustCompile("^(\\s*)```(\\w*)$")
	codeComment = regexp.MustCompile(`^<!-- code (\S+) (\S+) -->$`)
	regionBegin = regexp.MustCompile(`^\s*(?://|#) <([\w-]+)>$`)
	regionMark  = regexp.MustCompile(`^\s*(?://|#) </?[\w-]+>$`)
)

// Of the languages of blocks, these are copies of tested files.
var copied = []string{"go", "python", "js"}

// These show no code of ours: what a program prints, files of other programs.
var free = []string{"text", "conf"}

func TestPagesShowCodeThatIsTested(t *testing.T) {
	t.Chdir("..")
	used := map[string]bool{}
	for _, page := range filesBelow(t, ".", ".md") {
		text := checkedPage(t, page, used)
		if *update {
			require.NoError(t, os.WriteFile(page, []byte(text), 0o644))
		}
	}
	require.NotEmpty(t, used)

	// What no page shows any more is not kept for the pages.
	for _, ext := range []string{".go", ".py"} {
		for _, file := range filesBelow(t, "docs", ext) {
			for line := range strings.Lines(read(t, file)) {
				if m := regionBegin.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
					require.True(t, used[file+" "+m[1]], "no page shows <%s> of %s", m[1], file)
				}
			}
		}
	}
}

// checkedPage checks the blocks of a page, adds the regions that they show to used,
// and returns the page with the blocks as their sources have them.
func checkedPage(t *testing.T, page string, used map[string]bool) string {
	lines := strings.SplitAfter(read(t, page), "\n")
	var out strings.Builder
	for i, above := 0, ""; i < len(lines); i++ {
		out.WriteString(lines[i])
		if open := fence.FindStringSubmatch(strings.TrimRight(lines[i], "\n")); open != nil {
			where := fmt.Sprintf("%s:%d", page, i+1)
			length := slices.Index(lines[i+1:], open[1]+"```\n")
			require.GreaterOrEqual(t, length, 0, "%s: a block without an end", where)
			is := strings.Join(lines[i+1:i+1+length], "")
			block := checkedBlock(t, where, strings.TrimSpace(above), open[2], is, used)
			if !*update {
				require.Equal(t, block, is, "%s differs from its source; go test ./docs -run TestPagesShow -update", where)
			}
			i += 1 + length
			out.WriteString(block + lines[i])
		} else if page == "README.md" || strings.HasPrefix(page, "docs/") {
			require.NotRegexp(t, "^(    |\t)\\S", lines[i], "%s:%d: code without a block is not checked", page, i+1)
		}
		above = lines[i]
	}
	return out.String()
}

// checkedBlock returns what a block has to be. It adds the region that it is a copy
// of to used.
func checkedBlock(t *testing.T, where, above, language, block string, used map[string]bool) string {
	t.Helper()
	switch {
	case slices.Contains(copied, language):
		m := codeComment.FindStringSubmatch(above)
		require.NotNil(t, m, "%s: no comment says which code this is", where)
		used[m[1]+" "+m[2]] = true
		source, err := region(m[1], read(t, m[1]), m[2])
		require.NoError(t, err, where)
		return source
	case language == "sh":
		require.Regexp(t, `^<!-- (run|not run: .{10,}) -->$`, above, "%s: no comment says whether this is run", where)
	case language == "json":
		require.True(t, json.Valid([]byte(block)), "%s: not valid", where)
	default:
		require.Contains(t, free, language, "%s: the language of a block", where)
	}
	return block
}

// region returns the lines of a region without their common indentation.
func region(file, text, name string) (string, error) {
	var lines []string
	begun, ended := 0, 0
	for line := range strings.Lines(text) {
		switch mark := strings.TrimLeft(strings.TrimSpace(line), "/# "); {
		case mark == "<"+name+">":
			begun++
		case mark == "</"+name+">":
			ended++
		case begun > ended && !regionMark.MatchString(strings.TrimSuffix(line, "\n")):
			lines = append(lines, line)
		}
	}
	if begun != 1 || ended != 1 || len(lines) == 0 {
		return "", fmt.Errorf("%s: <%s> begins %d times, ends %d times and has %d lines", file, name, begun, ended, len(lines))
	}
	indent := -1
	for _, line := range lines {
		if rest := strings.TrimLeft(line, "\t "); rest != "\n" && (indent < 0 || len(line)-len(rest) < indent) {
			indent = len(line) - len(rest)
		}
	}
	for i, line := range lines {
		if line != "\n" {
			lines[i] = line[indent:]
		}
	}
	return strings.Trim(strings.Join(lines, ""), "\n") + "\n", nil
}

func TestRegion(t *testing.T) {
	const file = "package x\n\nfunc f() {\n\t// <a>\n\tif x {\n\t\ty()\n\t}\n\n\t// <b>\n\tz()\n\t// </b>\n\t// </a>\n}\n"
	got, err := region("x.go", file, "a")
	require.NoError(t, err)
	require.Equal(t, "if x {\n\ty()\n}\n\nz()\n", got)
	got, err = region("x.go", file, "b")
	require.NoError(t, err)
	require.Equal(t, "z()\n", got)
	_, err = region("x.go", file, "c")
	require.EqualError(t, err, "x.go: <c> begins 0 times, ends 0 times and has 0 lines")
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// filesBelow returns the files of the repository below root whose names end in ext.
func filesBelow(t *testing.T, root, ext string) []string {
	names := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := entry.Name(); entry.IsDir() {
			if name != "." && (base == "testdata" || base == "node_modules" || base[0] == '.') {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(name, ext) {
			names[path.Join(root, name)] = true
		}
		return nil
	}))
	return slices.Sorted(maps.Keys(names))
}

// Blocks of shell commands that say "run" are run, in the root of the repository.
func TestShellCommandsOfPagesRun(t *testing.T) {
	t.Chdir("..")
	blocks := regexp.MustCompile("(?m)^ *<!-- run -->\n *```sh\n((?s:.*?)) *```$")
	found := 0
	for _, page := range filesBelow(t, ".", ".md") {
		for _, m := range blocks.FindAllStringSubmatch(read(t, page), -1) {
			found++
			out, err := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", m[1]).CombinedOutput()
			require.NoError(t, err, "%s: %s\n%s", page, m[1], out)
		}
	}
	require.Positive(t, found)
}
