// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Settings inherit: a port follows its port group, that follows its switch. What is kept is what each level says of
// its own; what it shows is that, completed from above, with the flag `inherited` where it comes from above.
package main

import (
	"fmt"
	"reflect"

	"github.com/vmware/govmomi/vim25/types"
)

type setting = types.VMwareDVSPortSetting

var inheritable = reflect.TypeOf(types.InheritablePolicy{})

// effective returns a copy of own, completed from what is above.
func effective(own, above *setting) *setting {
	result := clone(reflect.ValueOf(own)).Interface().(*setting)
	complete(reflect.ValueOf(result).Elem(), reflect.ValueOf(above).Elem())
	showFilters(result, own, above)
	return result
}

// showFilters adds the filters above that own does not override, marked as inherited.
func showFilters(result, own, above *setting) {
	if above.FilterPolicy == nil || len(above.FilterPolicy.FilterConfig) == 0 {
		return
	}
	result.FilterPolicy.FilterConfig = nil
	if own.FilterPolicy != nil {
		result.FilterPolicy.FilterConfig = append(result.FilterPolicy.FilterConfig, own.FilterPolicy.FilterConfig...)
	}
	for _, each := range above.FilterPolicy.FilterConfig {
		if filterWith(own.FilterPolicy, each.GetDvsFilterConfig().Key) < 0 {
			inherited := clone(reflect.ValueOf(each)).Interface().(types.BaseDvsFilterConfig)
			inherited.GetDvsFilterConfig().Inherited = true
			result.FilterPolicy.FilterConfig = append(result.FilterPolicy.FilterConfig, inherited)
		}
	}
}

// filterWith returns the place of the filter with a key in a policy, -1 for none.
func filterWith(policy *types.DvsFilterPolicy, key string) int {
	if policy != nil {
		for i, config := range policy.FilterConfig {
			if config.GetDvsFilterConfig().Key == key {
				return i
			}
		}
	}
	return -1
}

func complete(own, above reflect.Value) {
	for i := 0; i < own.NumField(); i++ {
		mine, theirs := own.Field(i), above.Field(i)
		switch mine.Kind() {
		case reflect.Struct:
			if mine.Type() != inheritable {
				complete(mine, theirs)
			}
		case reflect.String:
			if mine.Len() == 0 {
				mine.Set(theirs)
			}
		case reflect.Ptr, reflect.Interface:
			switch {
			case theirs.IsNil():
			case mine.IsNil():
				mine.Set(clone(theirs))
				markInherited(mine)
			case pointsToStruct(mine):
				complete(mine.Elem(), theirs.Elem())
			}
		}
	}
}

// patch puts a partial spec over own: what the spec leaves out stays, what it says to inherit is given up.
// Filters are not for patch: see patchFilter.
func patch(own, spec reflect.Value) {
	for i := 0; i < own.NumField(); i++ {
		mine, wanted := own.Field(i), spec.Field(i)
		switch mine.Kind() {
		case reflect.Struct:
			if mine.Type() != inheritable {
				patch(mine, wanted)
			}
		case reflect.Ptr, reflect.Interface:
			switch {
			case wanted.IsNil():
			case isInherited(wanted):
				mine.Set(reflect.Zero(mine.Type()))
			case pointsToStruct(mine):
				if mine.IsNil() {
					mine.Set(reflect.New(mine.Type().Elem()))
				}
				patch(mine.Elem(), wanted.Elem())
			default:
				mine.Set(clone(wanted))
			}
		case reflect.String, reflect.Slice:
			if wanted.Len() > 0 {
				mine.Set(clone(wanted))
			}
		default:
			mine.Set(wanted)
		}
	}
}

// patchFilter applies the operations of a spec to a level's own filters; nil means that it has none of its own.
// A filter above is overridden by an edit with its key, until an edit that inherits it.
func patchFilter(own, spec, above *types.DvsFilterPolicy) (*types.DvsFilterPolicy, types.BaseMethodFault) {
	if spec.Inherited {
		return nil, nil
	}
	result := &types.DvsFilterPolicy{}
	if own != nil {
		result.FilterConfig = append(result.FilterConfig, own.FilterConfig...)
	}
	for _, each := range spec.FilterConfig {
		change, ok := each.(*types.DvsTrafficFilterConfigSpec)
		if !ok {
			return nil, &types.InvalidArgument{InvalidProperty: "filterPolicy.filterConfig"}
		}
		if change.Operation == string(types.ConfigSpecOperationAdd) {
			change.Key = nextKey("filter")
			result.FilterConfig = append(result.FilterConfig, keyed(&change.DvsTrafficFilterConfig))
			continue
		}
		at, inherits := filterWith(result, change.Key), filterWith(above, change.Key) >= 0
		switch {
		case at < 0 && (!inherits || change.Operation == string(types.ConfigSpecOperationRemove)):
			return nil, &types.InvalidArgument{InvalidProperty: "filterPolicy.filterConfig.key"}
		case at >= 0 && (change.Operation == string(types.ConfigSpecOperationRemove) || change.Inherited):
			result.FilterConfig = append(result.FilterConfig[:at], result.FilterConfig[at+1:]...)
		case change.Inherited:
		case at < 0:
			result.FilterConfig = append(result.FilterConfig, keyed(&change.DvsTrafficFilterConfig))
		default:
			result.FilterConfig[at] = keyed(&change.DvsTrafficFilterConfig)
		}
	}
	return result, nil
}

// keyed gives a key to each rule that has none.
func keyed(config *types.DvsTrafficFilterConfig) *types.DvsTrafficFilterConfig {
	if config.TrafficRuleset != nil {
		for i := range config.TrafficRuleset.Rules {
			if config.TrafficRuleset.Rules[i].Key == "" {
				config.TrafficRuleset.Rules[i].Key = nextKey("rule")
			}
		}
	}
	return config
}

var keys int

func nextKey(prefix string) string {
	keys++
	return fmt.Sprintf("%s-%d", prefix, keys)
}

// mirror makes the two forms of the MAC flags say the same: securityPolicy, and macManagementPolicy of newer switches.
func mirror(spec *setting) {
	mac, security := spec.MacManagementPolicy, spec.SecurityPolicy
	boolPolicy := func(value *bool, inherited bool) *types.BoolPolicy {
		if value == nil && !inherited {
			return nil
		}
		return &types.BoolPolicy{InheritablePolicy: types.InheritablePolicy{Inherited: inherited}, Value: value}
	}
	switch {
	case mac != nil && security == nil:
		spec.SecurityPolicy = &types.DVSSecurityPolicy{
			InheritablePolicy: mac.InheritablePolicy,
			AllowPromiscuous:  boolPolicy(mac.AllowPromiscuous, mac.Inherited),
			MacChanges:        boolPolicy(mac.MacChanges, mac.Inherited),
			ForgedTransmits:   boolPolicy(mac.ForgedTransmits, mac.Inherited),
		}
	case security != nil && mac == nil:
		value := func(policy *types.BoolPolicy) *bool {
			if policy == nil || policy.Inherited {
				return nil
			}
			return policy.Value
		}
		spec.MacManagementPolicy = &types.DVSMacManagementPolicy{
			InheritablePolicy: security.InheritablePolicy,
			AllowPromiscuous:  value(security.AllowPromiscuous),
			MacChanges:        value(security.MacChanges),
			ForgedTransmits:   value(security.ForgedTransmits),
		}
	}
}

func pointsToStruct(value reflect.Value) bool {
	return value.Kind() == reflect.Ptr && value.Type().Elem().Kind() == reflect.Struct
}

// policyOf returns the InheritablePolicy in the struct that a pointer or interface leads to.
func policyOf(value reflect.Value) reflect.Value {
	for value.Kind() == reflect.Ptr || value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	return value.FieldByName("Inherited")
}

func isInherited(value reflect.Value) bool {
	flag := policyOf(value)
	return flag.IsValid() && flag.Bool()
}

// markInherited sets the flag of a policy and of the policies in it.
func markInherited(value reflect.Value) {
	for value.Kind() == reflect.Ptr || value.Kind() == reflect.Interface {
		if value.IsNil() {
			return
		}
		value = value.Elem()
	}
	if value.Kind() != reflect.Struct {
		return
	}
	if flag := value.FieldByName("Inherited"); flag.IsValid() {
		flag.SetBool(true)
	}
	for i := 0; i < value.NumField(); i++ {
		if value.Type().Field(i).Type != inheritable {
			markInherited(value.Field(i))
		}
	}
}

// clone returns a deep copy.
func clone(value reflect.Value) reflect.Value {
	switch value.Kind() {
	case reflect.Ptr:
		if value.IsNil() {
			return value
		}
		result := reflect.New(value.Type().Elem())
		result.Elem().Set(clone(value.Elem()))
		return result
	case reflect.Interface:
		if value.IsNil() {
			return value
		}
		return clone(value.Elem())
	case reflect.Slice:
		result := reflect.MakeSlice(value.Type(), value.Len(), value.Len())
		for i := 0; i < value.Len(); i++ {
			result.Index(i).Set(clone(value.Index(i)))
		}
		return result
	case reflect.Struct:
		result := reflect.New(value.Type()).Elem()
		result.Set(value) // times have fields that are not exported
		for i := 0; i < value.NumField(); i++ {
			if result.Field(i).CanSet() {
				result.Field(i).Set(clone(value.Field(i)))
			}
		}
		return result
	default:
		return value
	}
}
