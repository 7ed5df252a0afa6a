package match_test

import (
	"fmt"
	"slices"

	"github.com/seed65a45251/mqtt/match"
)

func ExampleMatch() {
	fmt.Println(match.Match("sensors/+/temp", "sensors/7/temp"))
	fmt.Println(match.Match("sensors/#", "sensors"))
	fmt.Println(match.Match("#", "$SYS/uptime"))
	fmt.Println(match.Match("$share/workers/sensors/#", "sensors/7"))
	// Output:
	// true
	// true
	// false
	// true
}

func ExampleMatchPlain() {
	fmt.Println(match.MatchPlain("$share/workers/#", "sensors/7"))
	fmt.Println(match.MatchPlain("$share/workers/#", "$share/workers/7"))
	// Output:
	// false
	// true
}

func ExampleValidateTopic() {
	fmt.Println(match.ValidateTopic("sensors/7/temp"))
	fmt.Println(match.ValidateTopic("sensors/+/temp"))
	// Output:
	// <nil>
	// topic name "sensors/+/temp" has a wildcard
}

func ExampleValidateFilter() {
	fmt.Println(match.ValidateFilter("sensors/+/temp"))
	fmt.Println(match.ValidateFilter("sensors/#/temp"))
	fmt.Println(match.ValidateFilter("$share/workers"))
	// Output:
	// <nil>
	// topic filter "sensors/#/temp" has # before the last level
	// topic filter "$share/workers" has nothing after the share name
}

func ExampleValidatePlainFilter() {
	fmt.Println(match.ValidatePlainFilter("$share/workers"))
	// Output: <nil>
}

func ExampleHasWildcard() {
	fmt.Println(match.HasWildcard("sensors/+/temp"), match.HasWildcard("sensors/7/temp"))
	// Output: true false
}

func ExampleSplitShared() {
	share, rest, ok := match.SplitShared("$share/workers/sensors/#")
	fmt.Println(share, rest, ok)
	// Output: workers sensors/# true
}

func ExampleTree() {
	var routes match.Tree[string]
	routes.Insert("sensors/+/temp", "thermometer")
	routes.Insert("sensors/#", "archive")
	routes.Insert("sensors/7/temp", "seven")
	routes.Delete("sensors/7/temp", "seven")

	found := routes.Append(nil, "sensors/7/temp")
	slices.Sort(found)
	fmt.Println(found, routes.Len())
	// Output: [archive thermometer] 2
}

func ExampleTree_Match() {
	var routes match.Tree[string]
	routes.Insert("sensors/+/temp", "thermometer")
	for handler := range routes.Match("sensors/7/temp") {
		fmt.Println(handler)
	}
	// Output: thermometer
}

func ExampleTree_All() {
	var routes match.Tree[string]
	routes.Insert("sensors/#", "archive")
	for filter, handler := range routes.All() {
		fmt.Println(filter, handler)
	}
	// Output: sensors/# archive
}

func ExamplePattern() {
	up := match.MustParsePattern("devices/{id}/up")
	fmt.Println(up.Filter())

	values, ok := up.Match("devices/7/up")
	fmt.Println(values.Get("id"), ok)
	// Output:
	// devices/+/up
	// 7 true
}

func ExampleParsePattern() {
	files, err := match.ParsePattern("{site}/files/{path...}")
	fmt.Println(files, files.Names(), err)

	_, err = match.ParsePattern("devices/dev-{id}")
	fmt.Println(err)
	// Output:
	// {site}/files/{path...} [site path] <nil>
	// topic pattern "devices/dev-{id}" has a { or } that does not enclose a whole level; {{ and }} stand for the characters
}

func ExampleMustParsePattern() {
	fmt.Println(match.MustParsePattern("sites/+/{unit}/#").Filter())
	// Output: sites/+/+/#
}

func ExamplePattern_Topic() {
	command := match.MustParsePattern("devices/{id}/command/{path...}")
	fmt.Println(command.Topic("7", "door/open"))
	fmt.Println(command.Topic("7"))
	_, err := command.Topic("7/8", "reboot")
	fmt.Println(err)
	// Output:
	// devices/7/command/door/open <nil>
	// devices/7/command <nil>
	// value of {id} "7/8" has a /, and stands for one level
}

func ExampleValues_List() {
	from := match.MustParsePattern("plant/{site}/{path...}")
	to := match.MustParsePattern("sites/{site}/{path...}")
	values, _ := from.Match("plant/north/pump/3")
	fmt.Println(to.Topic(values.List()...))
	// Output: sites/north/pump/3 <nil>
}

func ExampleCovers() {
	fmt.Println(match.Covers("devices/#", "devices/+/up"))
	fmt.Println(match.Covers("devices/+", "devices/+/up"))
	// Output:
	// true
	// false
}

func ExampleOverlap() {
	// Both match devices/7/up.
	fmt.Println(match.Overlap("devices/7/+", "devices/+/up"))
	fmt.Println(match.Overlap("devices/+", "devices/+/up"))
	// Output:
	// true
	// false
}

func ExampleValues_Pattern() {
	values, _ := match.MustParsePattern("devices/{id}/up").Match("devices/7/up")
	fmt.Println(values.Pattern())
	// Output: devices/{id}/up
}
