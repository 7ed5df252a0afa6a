// Command rooms measures how the files of a package know each other. A file knows
// another of its package when it names something that is declared there: a type,
// a function, a method, a field, a constant or a variable. The largest circle is
// the largest set of files that all reach each other that way.
//
//	go -C tools run ./rooms [-edges] [-functions N] [DIR...]
//
// Directories are relative to the root of the repository; without any, all
// packages of the root module are measured. Test files do not count.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

func main() {
	edges := flag.Bool("edges", false, "print the references between files of the largest circle")
	longest := flag.Int("functions", 0, "print the `number` of longest functions of each package")
	root := flag.String("root", "..", "the root of the repository")
	flag.Parse()
	patterns := []string{"./..."}
	if flag.NArg() > 0 {
		patterns = nil
		for _, dir := range flag.Args() {
			patterns = append(patterns, "./"+filepath.Clean(dir))
		}
	}
	if err := run(*root, patterns, *edges, *longest); err != nil {
		fmt.Fprintln(os.Stderr, "rooms:", err)
		os.Exit(1)
	}
}

func run(root string, patterns []string, edges bool, longest int) error {
	loaded, err := load(root, patterns...)
	if err != nil {
		return err
	}
	for _, pkg := range loaded {
		h := measure(pkg)
		circle := h.largestCircle()
		fmt.Printf("%-60s %3d files, circle of %3d (%2d %%), longest function %3d lines\n",
			pkg.PkgPath, len(h.files), len(circle), 100*len(circle)/max(1, len(h.files)), h.longestFunction())
		if len(patterns) == 1 || edges {
			h.describe(circle, edges)
		}
		for _, f := range h.functions[:min(longest, len(h.functions))] {
			fmt.Printf("    %3d lines  %s  %s\n", f.lines, f.file, f.name)
		}
	}
	return nil
}

// load returns the packages that patterns name, seen from dir, in the order of
// their paths.
func load(dir string, patterns ...string) ([]*packages.Package, error) {
	loaded, err := packages.Load(&packages.Config{
		Dir: dir,
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes |
			packages.NeedTypesInfo | packages.NeedImports | packages.NeedDeps,
	}, patterns...)
	if err != nil {
		return nil, err
	}
	if packages.PrintErrors(loaded) > 0 {
		return nil, fmt.Errorf("the packages do not compile")
	}
	slices.SortFunc(loaded, func(a, b *packages.Package) int { return cmp.Compare(a.PkgPath, b.PkgPath) })
	return loaded, nil
}

// house is a package, seen as files that know each other.
type house struct {
	files     []string
	knows     map[string]map[string][]string // from a file to a file: the names used
	functions []function                     // the longest first
}

type function struct {
	name, file string
	lines      int
}

func (h *house) longestFunction() int {
	if len(h.functions) == 0 {
		return 0
	}
	return h.functions[0].lines
}

func measure(pkg *packages.Package) *house {
	h := &house{knows: map[string]map[string][]string{}}
	fileOf := func(o types.Object) string {
		return filepath.Base(pkg.Fset.Position(o.Pos()).Filename)
	}
	for _, file := range pkg.Syntax {
		from := filepath.Base(pkg.Fset.Position(file.Pos()).Filename)
		h.files = append(h.files, from)
		h.knows[from] = map[string][]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := pkg.Fset.Position(n.End()).Line - pkg.Fset.Position(n.Pos()).Line + 1
				h.functions = append(h.functions, function{n.Name.Name, from, lines})
			case *ast.Ident:
				o := pkg.TypesInfo.Uses[n]
				if o == nil || o.Pkg() != pkg.Types || !o.Pos().IsValid() || !shared(pkg.Types, o) {
					return true
				}
				if to := fileOf(o); to != from && !slices.Contains(h.knows[from][to], o.Name()) {
					h.knows[from][to] = append(h.knows[from][to], o.Name())
				}
			}
			return true
		})
	}
	slices.Sort(h.files)
	slices.SortFunc(h.functions, func(a, b function) int { return cmp.Compare(b.lines, a.lines) })
	return h
}

// shared reports whether o can be named in another file than its own: what is
// declared at the level of the package, fields and methods.
func shared(pkg *types.Package, o types.Object) bool {
	switch o := o.(type) {
	case *types.Var:
		return o.IsField() || o.Parent() == pkg.Scope()
	case *types.Func:
		return true
	}
	return o.Parent() == pkg.Scope()
}

// largestCircle returns the largest set of files that all reach each other, by
// Tarjan's algorithm.
func (h *house) largestCircle() []string {
	var (
		largest, stack []string
		index, low     = map[string]int{}, map[string]int{}
		onStack        = map[string]bool{}
		visit          func(f string)
	)
	visit = func(f string) {
		index[f] = len(index) + 1
		low[f] = index[f]
		stack, onStack[f] = append(stack, f), true
		for _, to := range slices.Sorted(maps.Keys(h.knows[f])) {
			if index[to] == 0 {
				visit(to)
				low[f] = min(low[f], low[to])
			} else if onStack[to] {
				low[f] = min(low[f], index[to])
			}
		}
		if low[f] != index[f] {
			return
		}
		i := slices.Index(stack, f)
		if circle := stack[i:]; len(circle) > len(largest) {
			largest = slices.Clone(circle)
		}
		for _, g := range stack[i:] {
			onStack[g] = false
		}
		stack = stack[:i]
	}
	for _, f := range h.files {
		if index[f] == 0 {
			visit(f)
		}
	}
	slices.Sort(largest)
	return largest
}

func (h *house) describe(circle []string, edges bool) {
	fmt.Println("  in the circle:", strings.Join(circle, " "))
	var outside []string
	for _, f := range h.files {
		if !slices.Contains(circle, f) {
			outside = append(outside, f)
		}
	}
	fmt.Println("  outside:", strings.Join(outside, " "))
	if !edges {
		return
	}
	for _, from := range circle {
		for _, to := range circle {
			if names := h.knows[from][to]; len(names) > 0 {
				fmt.Printf("  %s -> %s: %s\n", from, to, strings.Join(names, " "))
			}
		}
	}
}
