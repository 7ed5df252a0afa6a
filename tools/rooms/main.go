// Command rooms measures how the files of a package know each other. A file knows
// another of its package when it names something that is declared there: a type,
// a function, a method, a field, a constant or a variable. The largest circle is
// the largest set of files that all reach each other that way.
//
//	go -C tools run ./rooms [-edges] [-functions N] [-most PERCENT] [-layers PAGE] [DIR...]
//
// Directories are relative to the root of the repository; without any, all
// packages of the root module are measured. Test files do not count.
package main

import (
	"cmp"
	"errors"
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
	edges := flag.Bool("edges", false, "print the references between files")
	longest := flag.Int("functions", 0, "print the `number` of longest functions of each package")
	most := flag.Int("most", 100, "fail when the largest circle of a package has more than this `percentage` of its files and more than 4 files")
	layers := flag.String("layers", "", "fail when a file names what is declared in a lower layer of the table on this `page`, or has no place there")
	root := flag.String("root", "..", "the root of the repository")
	flag.Parse()
	patterns := []string{"./..."}
	if flag.NArg() > 0 {
		patterns = nil
		for _, dir := range flag.Args() {
			patterns = append(patterns, "./"+filepath.Clean(dir))
		}
	}
	if err := run(*root, patterns, *layers, *edges, *longest, *most); err != nil {
		fmt.Fprintln(os.Stderr, "rooms:", err)
		os.Exit(1)
	}
}

func run(root string, patterns []string, page string, edges bool, longest, most int) error {
	loaded, err := load(root, patterns...)
	if err != nil {
		return err
	}
	var faults []string
	for _, pkg := range loaded {
		h := measure(pkg)
		if page != "" {
			text, err := os.ReadFile(page)
			if err != nil {
				return err
			}
			faults = append(faults, h.outOfOrder(layersOf(string(text)))...)
		}
		circle := h.largestCircle()
		fmt.Printf("%-60s %3d files, circle of %3d (%2d %%), longest function %3d lines\n",
			pkg.PkgPath, len(h.files), len(circle), 100*len(circle)/max(1, len(h.files)), h.longestFunction())
		if share := 100 * len(circle) / max(1, len(h.files)); share > most && len(circle) > 4 {
			faults = append(faults, fmt.Sprintf("%s: %d %% of the files are in a circle", pkg.PkgPath, share))
		}
		if page == "" && (len(patterns) == 1 && patterns[0] != "./..." || edges) {
			h.describe(circle, edges)
		}
		for _, f := range h.functions[:min(longest, len(h.functions))] {
			fmt.Printf("    %3d lines  %s  %s\n", f.lines, f.file, f.name)
		}
	}
	if len(faults) > 0 {
		return errors.New(strings.Join(faults, "\n"))
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

// layersOf reads a table of files: a row in bold begins a layer, a row with the names of
// files puts them there. The result is the number of the layer for each file, 1 for the
// highest.
func layersOf(page string) map[string]int {
	layers := map[string]int{}
	layer := 0
	for line := range strings.Lines(page) {
		cell, isRow := strings.CutPrefix(line, "| ")
		cell, _, _ = strings.Cut(cell, " |")
		switch {
		case !isRow:
		case strings.HasPrefix(cell, "**"):
			layer++
		case strings.HasPrefix(cell, "`"):
			for name := range strings.SplitSeq(cell, ", ") {
				layers[strings.Trim(name, "`")] = layer
			}
		}
	}
	return layers
}

// outOfOrder says which files have no layer or name what a lower one declares.
func (h *house) outOfOrder(layers map[string]int) (faults []string) {
	for _, from := range h.files {
		if layers[from] == 0 {
			faults = append(faults, from+" has no layer")
			continue
		}
		for _, to := range slices.Sorted(maps.Keys(h.knows[from])) {
			if layers[to] > layers[from] {
				faults = append(faults, fmt.Sprintf("%s names what %s declares, in a lower layer: %s", from, to, strings.Join(h.knows[from][to], " ")))
			}
		}
	}
	return faults
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
	for _, from := range h.files {
		for _, to := range h.files {
			if names := h.knows[from][to]; len(names) > 0 {
				fmt.Printf("  %s -> %s: %s\n", from, to, strings.Join(names, " "))
			}
		}
	}
}
