package docs_test

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	goFile   = regexp.MustCompile("`([\\w/]+\\.go)`")
	mdBlock  = regexp.MustCompile("(?ms)^```.*?^```$")
	mdLink   = regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	mdTitle  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInID  = regexp.MustCompile(`[^\w -]`)
	lifeStep = regexp.MustCompile("(?m)^\\| \\d+ \\| `([^`]+)` \\| ([^|]+) \\|")
	function = regexp.MustCompile("`(?:\\w+\\.)?(\\w+)`")
)

// papers returns the pages about the code, by path. It is called in the root.
func papers(t *testing.T) map[string]string {
	pages := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		names, err := filepath.Glob(filepath.FromSlash(pattern))
		require.NoError(t, err)
		for _, name := range names {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			pages[filepath.ToSlash(name)] = string(text)
		}
	}
	require.Contains(t, pages, "docs/design/api.md")
	return pages
}

func TestPapersNameFilesThatExist(t *testing.T) {
	t.Chdir("..")
	files := map[string]bool{}
	require.NoError(t, fs.WalkDir(os.DirFS("."), ".", func(name string, _ fs.DirEntry, err error) error {
		files[name], files[path.Base(name)] = true, true
		return err
	}))
	for page, text := range papers(t) {
		text = mdBlock.ReplaceAllString(text, "")
		for _, m := range goFile.FindAllStringSubmatch(text, -1) {
			require.True(t, files[m[1]], "%s names %s", page, m[1])
		}
		for _, m := range mdLink.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := page
			if m[1] != "" {
				to = path.Join(path.Dir(page), m[1])
				require.True(t, files[to], "%s leads to %s", page, m[1])
			}
			if m[2] != "" {
				require.Contains(t, titles(t, to), m[2], "%s leads to a part of %s", page, to)
			}
		}
	}
}

// titles returns what links to the parts of a page end in.
func titles(t *testing.T, page string) (ids []string) {
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, m := range mdTitle.FindAllStringSubmatch(mdBlock.ReplaceAllString(string(text), ""), -1) {
		ids = append(ids, strings.ReplaceAll(strings.ToLower(notInID.ReplaceAllString(m[1], "")), " ", "-"))
	}
	return ids
}

// The tables of files name every file of their package.
func TestTablesOfFilesAreComplete(t *testing.T) {
	t.Chdir("..")
	pages := papers(t)
	for dir, page := range map[string]string{
		".": "docs/design/client.md", "session": "docs/design/engine.md", "broker": "docs/design/broker.md", "store/bolt": "docs/design/store.md",
	} {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for _, name := range names {
			if base := filepath.Base(name); !strings.HasSuffix(base, "_test.go") {
				require.Contains(t, pages[page], "`"+base+"`", "%s has no place in %s", name, page)
			}
		}
	}
}

// The life of a message in ARCHITECTURE.md: each step names functions of a file.
func TestLifeOfAMessageNamesFunctionsThatExist(t *testing.T) {
	t.Chdir("..")
	steps := lifeStep.FindAllStringSubmatch(papers(t)["ARCHITECTURE.md"], -1)
	require.Greater(t, len(steps), 15)
	for _, step := range steps {
		code, err := os.ReadFile(step[1])
		require.NoError(t, err)
		for _, f := range function.FindAllStringSubmatch(step[2], -1) {
			require.Regexp(t, `(?m)^func (\(\w+ [^)]+\) )?`+f[1]+`[(\[]`, string(code), "%s in %s", f[1], step[1])
		}
	}
}
