package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
)

// modules are those that a release has.
type modules struct {
	root   string // path of the module at the root
	nested []nestedModule
}

// nestedModule is a module below the root, or the root itself.
type nestedModule struct {
	path     string
	dir      string // relative to the root, with slashes; empty: the root
	programs bool   // it is a command, which users install
}

// inner are the parts of the repository whose modules nobody imports.
var inner = []string{"bench", "docs", "examples", "interop", "tools"}

// find returns the modules below root.
func find(root string) (found modules, err error) {
	file, err := parse(filepath.Join(root, "go.mod"))
	if err != nil {
		return found, err
	}
	found.root = file.Module.Mod.Path
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.Name() != "go.mod" || filepath.Dir(path) == root:
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		dir = filepath.ToSlash(dir)
		first, _, _ := strings.Cut(dir, "/")
		if slices.Contains(inner, first) {
			return nil
		}
		file, err := parse(path)
		if err != nil {
			return err
		}
		if file.Module.Mod.Path != found.root+"/"+dir {
			return fmt.Errorf("%s has the module %s", dir, file.Module.Mod.Path)
		}
		found.nested = append(found.nested, nestedModule{file.Module.Mod.Path, dir, first == "cmd"})
		return nil
	})
	return found, err
}

func parse(path string) (*modfile.File, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(path, text, nil)
}

// tags are the names under which Go finds the modules.
func (ms *modules) tags(version string) []string {
	tags := []string{version}
	for _, m := range ms.nested {
		tags = append(tags, m.dir+"/"+version)
	}
	return tags
}

// require makes m, and what it requires of this repository, those of a version.
func (m *nestedModule) require(root, proxy, rootPath, version string) error {
	path := filepath.Join(root, m.dir, "go.mod")
	file, err := parse(path)
	if err != nil {
		return err
	}
	for _, r := range slices.Clone(file.Replace) {
		if r.Old.Path != rootPath {
			return fmt.Errorf("replaces %s, which a user would not get", r.Old.Path)
		}
		if err := file.DropReplace(r.Old.Path, r.Old.Version); err != nil {
			return err
		}
	}
	if err := file.AddRequire(rootPath, version); err != nil {
		return err
	}
	file.Cleanup()
	text, err := file.Format()
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		return err
	}
	return run(filepath.Join(root, m.dir), proxy, "mod", "tidy")
}
