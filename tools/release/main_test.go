package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// version is none that there will be.
const version = "v0.999.0"

// A release is made in a clone, with every module built as a user gets it.
func TestRelease(t *testing.T) {
	root := clone(t)
	path := filepath.Join(root, "CHANGELOG.md")
	before, after, _ := strings.Cut(read(t, path), unreleased)
	if err := os.WriteFile(path, []byte(before+unreleased+"\n- News.\n"+after), 0o644); err != nil {
		t.Fatal(err)
	}
	must(t)(git(root, "commit", "-q", "-a", "-m", "News"))
	if err := release(root, version, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	modules, err := find(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(modules.nested) < 2 {
		t.Fatalf("found %v only", modules.nested)
	}
	for _, tag := range modules.tags(version) {
		goMod := must(t)(git(root, "show", tag+"^{commit}:"+filepath.ToSlash(filepath.Join(strings.TrimSuffix(tag, version), "go.mod"))))
		if strings.Contains(goMod, "replace") {
			t.Errorf("%s replaces modules", tag)
		}
		if tag != version && !strings.Contains(goMod, modules.root+" "+version) {
			t.Errorf("%s does not require the root of the same version", tag)
		}
	}
	if log := must(t)(git(root, "show", version+"^{commit}:CHANGELOG.md")); !strings.Contains(log, "## Unreleased\n\n## "+version+" - 2026-11-29\n\n- News.\n") {
		t.Error("CHANGELOG.md has no version")
	}
	if changed := must(t)(git(root, "diff", "--stat", "HEAD~2", "HEAD", "--", ".", ":!CHANGELOG.md")); changed != "" {
		t.Errorf("work does not go on as before: %s", changed)
	}
	if err := release(root, "v0.999.1", time.Now()); err == nil {
		t.Error("a release without a change")
	}
}

func TestWhatIsNoReleaseIsRefused(t *testing.T) {
	root := clone(t)
	before := must(t)(git(root, "tag"))
	for _, version := range []string{"", "0.1.0", "v1", "v0.1.0+meta", "latest"} {
		if err := release(root, version, time.Now()); err == nil {
			t.Errorf("released %q", version)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := release(root, "v0.1.0", time.Now()); err == nil {
		t.Error("released with a change that is not committed")
	}
	if tags := must(t)(git(root, "tag")); tags != before {
		t.Errorf("left the tags %s", tags)
	}
}

// clone returns a clone of this repository.
func clone(t *testing.T) string {
	root := filepath.Join(t.TempDir(), "clone")
	must(t)(git(".", "clone", "-q", "../..", root))
	must(t)(git(root, "config", "user.name", "test"))
	must(t)(git(root, "config", "user.email", "test@example.com"))
	return root
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func must(t *testing.T) func(string, error) string {
	return func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}
