// Command release makes a release of the root module and of every nested module that
// users import or install, under one version.
//
//	go -C tools run ./release v0.1.0
//
// It works on a clean checkout and changes nothing but it. It makes two commits. In the
// first, which gets the tags, CHANGELOG.md has the version, and the nested modules require
// the root at that version, without a replace directive. The second puts the replace
// directives back, so that work goes on with the root as it is. Before that, the modules are
// built as a user gets them: from zip files behind a module proxy in a directory.
//
// Nothing is pushed. To publish, push the branch and the tags together.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/semver"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go -C tools run ./release v0.1.0")
		os.Exit(2)
	}
	root, err := filepath.Abs("..") // of tools, where go -C has brought us
	if err == nil {
		err = release(root, os.Args[1], time.Now())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// release makes the commits and tags of a version in the checkout at root.
func release(root, version string, now time.Time) error {
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return fmt.Errorf("%q is not a version such as v0.1.0", version)
	}
	if state, err := git(root, "status", "--porcelain"); err != nil || state != "" {
		return fmt.Errorf("the checkout has changes: %s %w", state, err)
	}
	modules, err := find(root)
	if err != nil {
		return err
	}
	proxy, err := os.MkdirTemp("", "proxy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(proxy)
	if err := announce(filepath.Join(root, "CHANGELOG.md"), version, now); err != nil {
		return err
	}
	before := map[string][]byte{}
	for _, m := range modules.nested {
		for _, name := range []string{"go.mod", "go.sum"} {
			path := filepath.Join(root, m.dir, name)
			if before[path], err = os.ReadFile(path); err != nil {
				return err
			}
		}
	}
	tagged, err := commitRelease(root, proxy, version, modules)
	if err != nil {
		return err
	}
	for _, tag := range modules.tags(version) {
		if _, err := git(root, "tag", "-a", "-m", tag, tag, tagged); err != nil {
			return err
		}
		fmt.Println(tag)
	}
	for path, content := range before {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	_, err = git(root, "commit", "-q", "-a", "-m", "Nested modules use the root as it is again, after "+version)
	return err
}

// commitRelease commits what gets the tags, after the modules were built from it, and
// returns the commit.
func commitRelease(root, proxy, version string, modules modules) (commit string, err error) {
	// The zip of the root is made of the commit before: nothing of it but CHANGELOG.md changes.
	if _, err := git(root, "commit", "-q", "-a", "-m", "Release "+version); err != nil {
		return "", err
	}
	if err := publish(proxy, root, nestedModule{path: modules.root}, version); err != nil {
		return "", err
	}
	for _, m := range modules.nested {
		if err := m.require(root, proxy, modules.root, version); err != nil {
			return "", fmt.Errorf("%s: %w", m.dir, err)
		}
	}
	if _, err := git(root, "commit", "-q", "-a", "--amend", "--no-edit"); err != nil {
		return "", err
	}
	for _, m := range modules.nested {
		if err := publish(proxy, root, m, version); err != nil {
			return "", err
		}
	}
	if err := try(proxy, version, modules); err != nil {
		return "", err
	}
	return git(root, "rev-parse", "HEAD")
}
