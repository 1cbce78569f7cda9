// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Switches, port groups and ports as the API documentation describes them, over the simulator's registry.
package main

import (
	"fmt"
	"reflect"
	"strconv"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

type reference = types.ManagedObjectReference

// level is what a port or a port group says of its own, with the version of its configuration.
type level struct {
	own     *setting
	version int
}

func (l *level) configVersion() string { return strconv.Itoa(l.version) }

// port is one port of the distributed switch, with the VM's network adapter that is connected to it.
type port struct {
	level
	key               string
	group             reference
	name, description string
	vm                reference
	nic               int32
	actual            types.DVPortStatus // what its host does
	told              types.DVPortStatus // what its host told the vCenter last
	bypassed          bool               // frames pass the hypervisor by
}

// lan is the state that the simulator does not keep. There is one distributed switch.
type lan struct {
	groups map[reference]*level
	ports  map[string]*port
	order  []string                                     // keys of ports
	deaf   string                                       // name of a host that is connected and does not do what it is told
	power  map[reference]types.VirtualMachinePowerState // of VMs, as last seen
	sparse bool                                         // ports and port groups show only what they say of their own
	keeps  bool                                         // an empty description or annotation is ignored
}

// legacy tells that the switch is older than 6.6 and has no MAC management.
var legacy bool

// setLearning sets whether the switch reports that it supports MAC learning, and whether it shows MAC management.
func (l *lan) setLearning(supported, shown *bool) {
	legacy = supported != nil && !*supported
	for ref := range l.groups {
		dvs := switchOf(*groupOf(ref).Config.DistributedVirtualSwitch)
		features := &types.VMwareDVSFeatureCapability{}
		features.MacLearningSupported = supported
		dvs.Capability.FeaturesSupported = features
		if shown != nil && !*shown {
			settingOf(dvs.Config.GetDVSConfigInfo().DefaultPortConfig).MacManagementPolicy = nil
		}
		l.showGroup(ref)
	}
}

// setDRS enables or disables DRS in all clusters.
func setDRS(enabled bool) {
	for _, each := range simulator.Map.All("ClusterComputeResource") {
		config := each.(*simulator.ClusterComputeResource).ConfigurationEx.(*types.ClusterConfigInfoEx)
		config.DrsConfig.Enabled = types.NewBool(enabled)
	}
}

// makeLegacy makes the switch an old one.
func (l *lan) makeLegacy() { l.setLearning(types.NewBool(false), types.NewBool(false)) }

func newLAN() *lan {
	return &lan{groups: map[reference]*level{}, ports: map[string]*port{}, power: map[reference]types.VirtualMachinePowerState{}}
}

func groupOf(ref reference) *simulator.DistributedVirtualPortgroup {
	return simulator.Map.Get(ref).(*simulator.DistributedVirtualPortgroup)
}

func switchOf(ref reference) *simulator.DistributedVirtualSwitch {
	return simulator.Map.Get(ref).(*simulator.DistributedVirtualSwitch)
}

func settingOf(base types.BaseDVPortSetting) *setting { return base.(*setting) }

// showGroup puts the effective settings of a port group where the simulator reads them.
func (l *lan) showGroup(ref reference) {
	group, own := groupOf(ref), l.groups[ref]
	group.Config.DefaultPortConfig = l.shown(own, l.ofGroup(ref))
	group.Config.ConfigVersion = own.configVersion()
}

// ofGroup returns the effective settings of a port group.
func (l *lan) ofGroup(ref reference) *setting {
	return effective(l.groups[ref].own, l.aboveGroup(ref))
}

// aboveGroup returns the settings of the switch of a port group.
func (l *lan) aboveGroup(ref reference) *setting {
	dvs := switchOf(*groupOf(ref).Config.DistributedVirtualSwitch)
	return settingOf(dvs.Config.GetDVSConfigInfo().DefaultPortConfig)
}

// shown returns what a level with these effective settings shows of them; nothing when that is empty.
func (l *lan) shown(level *level, effective *setting) types.BaseDVPortSetting {
	if !l.sparse {
		return effective
	}
	if reflect.DeepEqual(level.own, &setting{}) {
		return nil
	}
	return clone(reflect.ValueOf(level.own)).Interface().(*setting)
}

// makeSparse lets ports and port groups show only what they say of their own.
func (l *lan) makeSparse() {
	l.sparse = true
	for ref := range l.groups {
		l.showGroup(ref)
	}
}

// change applies a partial spec to one level.
func (l *level) change(spec types.BaseDVPortSetting, above *setting) types.BaseMethodFault {
	wanted, ok := spec.(*setting)
	if !ok {
		return &types.InvalidArgument{InvalidProperty: "setting"}
	}
	if legacy && wanted.MacManagementPolicy != nil {
		return &types.NotSupported{}
	}
	if !legacy {
		mirror(wanted)
	}
	filter := wanted.FilterPolicy
	wanted.FilterPolicy = nil
	if filter != nil {
		policy, fault := patchFilter(l.own.FilterPolicy, filter, above.FilterPolicy)
		if fault != nil {
			return fault
		}
		l.own.FilterPolicy = policy
	}
	patch(reflect.ValueOf(l.own).Elem(), reflect.ValueOf(wanted).Elem())
	return nil
}

// reconfigureGroup is ReconfigureDVPortgroup_Task; clears is true if the description is present and empty.
func (l *lan) reconfigureGroup(ref reference, spec types.DVPortgroupConfigSpec, clears bool) types.BaseMethodFault {
	own, config := l.groups[ref], &groupOf(ref).Config
	if spec.ConfigVersion != own.configVersion() {
		return &types.ConcurrentAccess{}
	}
	if spec.DefaultPortConfig != nil {
		if fault := own.change(spec.DefaultPortConfig, l.aboveGroup(ref)); fault != nil {
			return fault
		}
	}
	if spec.Policy != nil {
		config.Policy = spec.Policy
	}
	if spec.Description != "" || clears {
		config.Description = spec.Description
	}
	if spec.Name != "" {
		groupOf(ref).Name, config.Name = spec.Name, spec.Name
	}
	own.version++
	l.showGroup(ref)
	return nil
}

// reconfigurePorts is ReconfigureDVPort_Task: all of the specs or none; clears as for reconfigureGroup.
func (l *lan) reconfigurePorts(specs []types.DVPortConfigSpec, clears bool) types.BaseMethodFault {
	for _, spec := range specs {
		port := l.ports[spec.Key]
		switch {
		case port == nil || !port.exists():
			return &types.NotFound{}
		case spec.Operation != string(types.ConfigSpecOperationEdit):
			return &types.InvalidArgument{InvalidProperty: "operation"}
		case spec.ConfigVersion != "" && spec.ConfigVersion != port.configVersion():
			return &types.ConcurrentAccess{}
		case spec.Setting != nil && !mayOverride(groupOf(port.group).Config.Policy, settingOf(spec.Setting)):
			return &types.InvalidArgument{InvalidProperty: "setting"}
		}
	}
	for _, spec := range specs {
		port := l.ports[spec.Key]
		if spec.Setting != nil {
			if fault := port.change(spec.Setting, l.ofGroup(port.group)); fault != nil {
				return fault
			}
		}
		if spec.Name != "" {
			port.name = spec.Name
		}
		if spec.Description != "" || clears {
			port.description = spec.Description
		}
		port.version++
	}
	return nil
}

// mayOverride returns whether a port group lets its ports override the settings that a spec has.
func mayOverride(base types.BaseDVPortgroupPolicy, spec *setting) bool {
	policy := base.(*types.VMwareDVSPortgroupPolicy)
	overrides := func(value interface{}) bool {
		pointer := reflect.ValueOf(value)
		return pointer.IsValid() && !pointer.IsNil() && !isInherited(pointer)
	}
	isTrue := func(flag *bool) bool { return flag != nil && *flag }
	return (policy.BlockOverrideAllowed || !overrides(spec.Blocked)) &&
		(policy.VlanOverrideAllowed || !overrides(spec.Vlan)) &&
		(policy.UplinkTeamingOverrideAllowed || !overrides(spec.UplinkTeamingPolicy)) &&
		(policy.ShapingOverrideAllowed || !overrides(spec.InShapingPolicy) && !overrides(spec.OutShapingPolicy)) &&
		(policy.SecurityPolicyOverrideAllowed || !overrides(spec.SecurityPolicy)) &&
		(isTrue(policy.MacManagementOverrideAllowed) || !overrides(spec.MacManagementPolicy)) &&
		(isTrue(policy.TrafficFilterOverrideAllowed) || !overrides(spec.FilterPolicy))
}

// fetch is FetchDVPorts.
func (l *lan) fetch(criteria *types.DistributedVirtualSwitchPortCriteria) []types.DistributedVirtualPort {
	var found []types.DistributedVirtualPort
	for _, key := range l.order {
		if !l.ports[key].exists() {
			continue
		}
		if port := l.show(l.ports[key]); criteria == nil || fits(port, criteria) {
			found = append(found, port)
		}
	}
	return found
}

// exists returns whether the port exists now: with ephemeral binding, while its VM is on.
func (p *port) exists() bool {
	vm, ok := simulator.Map.Get(p.vm).(*simulator.VirtualMachine)
	return !ok || vm.Runtime.PowerState != types.VirtualMachinePowerStatePoweredOff ||
		groupOf(p.group).Config.Type != string(types.DistributedVirtualPortgroupPortgroupTypeEphemeral)
}

// follow does what comes with a VM that is powered on or off: its adapters are connected as they are to start, or are not
// connected, and an ephemeral port ends with all that it had.
func (l *lan) follow() {
	for _, each := range simulator.Map.All("VirtualMachine") {
		vm := each.(*simulator.VirtualMachine)
		now := vm.Runtime.PowerState
		if vm.Config == nil || l.power[vm.Self] == now {
			continue
		}
		resumes := l.power[vm.Self] == types.VirtualMachinePowerStateSuspended && now == types.VirtualMachinePowerStatePoweredOn
		l.power[vm.Self] = now
		for _, port := range l.ports {
			if port.vm == vm.Self {
				port.told = types.DVPortStatus{}
			}
		}
		for _, device := range vm.Config.Hardware.Device {
			card, ok := device.(types.BaseVirtualEthernetCard)
			if !ok || card.GetVirtualEthernetCard().Connectable == nil || resumes || now == types.VirtualMachinePowerStateSuspended {
				continue
			}
			connectable := *card.GetVirtualEthernetCard().Connectable
			connectable.Connected = connectable.StartConnected && now == types.VirtualMachinePowerStatePoweredOn
			card.GetVirtualEthernetCard().Connectable = &connectable
		}
		for _, port := range l.ports {
			if port.vm == vm.Self && !port.exists() {
				port.level, port.description = level{own: &setting{}, version: 1}, ""
			}
		}
	}
}

// refresh is RefreshDVPortState: the hosts report the state of their ports.
func (l *lan) refresh(keys []string) types.BaseMethodFault {
	l.fetch(nil)
	for _, key := range keys {
		port := l.ports[key]
		if port == nil {
			return &types.NotFound{}
		}
		if vm, ok := simulator.Map.Get(port.vm).(*simulator.VirtualMachine); ok && !responds(vm) {
			return &types.DvsOperationBulkFault{}
		}
		port.told = port.actual
	}
	return nil
}

func fits(port types.DistributedVirtualPort, criteria *types.DistributedVirtualSwitchPortCriteria) bool {
	contains := func(list []string, word string) bool {
		for _, each := range list {
			if each == word {
				return true
			}
		}
		return false
	}
	inside := criteria.Inside == nil || *criteria.Inside
	onHost := len(criteria.Host) == 0
	for _, host := range criteria.Host {
		onHost = onHost || port.ProxyHost != nil && *port.ProxyHost == host
	}
	return (len(criteria.PortKey) == 0 || contains(criteria.PortKey, port.Key)) &&
		(len(criteria.PortgroupKey) == 0 || contains(criteria.PortgroupKey, port.PortgroupKey) == inside) &&
		(criteria.UplinkPort == nil || !*criteria.UplinkPort) && // all are for VMs
		(criteria.Connected == nil || *criteria.Connected == (port.Connectee != nil)) &&
		(criteria.Active == nil || *criteria.Active == (port.State != nil && port.State.RuntimeInfo != nil && port.State.RuntimeInfo.LinkUp)) &&
		onHost
}

// show returns a port as FetchDVPorts does: with the effective settings, who is connected, and, of a port that runs, the
// runtime state.
func (l *lan) show(port *port) types.DistributedVirtualPort {
	group := groupOf(port.group)
	applied := effective(port.own, l.ofGroup(port.group))
	result := types.DistributedVirtualPort{
		Key:          port.key,
		PortgroupKey: group.Key,
		DvsUuid:      switchOf(*group.Config.DistributedVirtualSwitch).Uuid,
		Config: types.DVPortConfigInfo{
			Name:          port.name,
			Description:   port.description,
			Setting:       l.shown(&port.level, applied),
			ConfigVersion: port.configVersion(),
		},
	}
	vm, ok := simulator.Map.Get(port.vm).(*simulator.VirtualMachine)
	if !ok {
		return result
	}
	blocked := applied.Blocked != nil && applied.Blocked.Value != nil && *applied.Blocked.Value
	nic := nicOf(vm, port.nic)
	if nic != nil && responds(vm) && nameOf(vm.Runtime.Host) != l.deaf {
		port.actual = types.DVPortStatus{
			Blocked: blocked, LinkUp: !blocked, MacAddress: nic.MacAddress, VmDirectPathGen2Active: types.NewBool(port.bypassed),
		}
	}
	if port.told.MacAddress == "" {
		port.told = port.actual
	}
	ref := port.vm
	result.Connectee = &types.DistributedVirtualSwitchPortConnectee{
		ConnectedEntity: &ref,
		NicKey:          strconv.Itoa(int(port.nic)),
		Type:            string(types.DistributedVirtualSwitchPortConnecteeConnecteeTypeVmVnic),
	}
	result.ProxyHost = vm.Runtime.Host
	result.State = &types.DVPortState{}
	if nic != nil && (nic.Connectable == nil || nic.Connectable.Connected) && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn {
		status := port.told
		result.State.RuntimeInfo = &status
	}
	return result
}

// nicOf returns the network adapter of a VM with a key; nil when it has none.
func nicOf(vm *simulator.VirtualMachine, key int32) *types.VirtualEthernetCard {
	if vm.Config == nil {
		return nil
	}
	for _, device := range vm.Config.Hardware.Device {
		if card, ok := device.(types.BaseVirtualEthernetCard); ok && card.GetVirtualEthernetCard().Key == key {
			return card.GetVirtualEthernetCard()
		}
	}
	return nil
}

func nameOf(host *reference) string { return simulator.Map.Get(*host).(*simulator.HostSystem).Name }

// responds returns whether the vCenter reaches the host of a VM.
func responds(vm *simulator.VirtualMachine) bool {
	if vm.Runtime.Host == nil {
		return false
	}
	host := simulator.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem)
	return host.Runtime.ConnectionState == types.HostSystemConnectionStateConnected
}

// setHost gives a host a connection state, and its VMs the one that follows from it.
func (l *lan) setHost(name, state string) {
	l.fetch(nil) // what the host tells until now
	ofVMs := types.VirtualMachineConnectionStateConnected
	if state != string(types.HostSystemConnectionStateConnected) {
		ofVMs = types.VirtualMachineConnectionStateDisconnected
	}
	for _, each := range simulator.Map.All("HostSystem") {
		if host := each.(*simulator.HostSystem); host.Name == name {
			host.Runtime.ConnectionState = types.HostSystemConnectionState(state)
			for _, ref := range host.Vm {
				simulator.Map.Get(ref).(*simulator.VirtualMachine).Runtime.ConnectionState = ofVMs
			}
		}
	}
}

// setProtected lets vSphere HA protect a VM, or no longer.
func (l *lan) setProtected(name string, protected bool) {
	for _, vm := range vmsOf(name) {
		vm.Runtime.DasVmProtection = &types.VirtualMachineRuntimeInfoDasProtectionState{DasProtected: protected}
	}
}

// lose takes away what a vCenter does not know of some VMs: the configuration of one that is inaccessible, the host of one
// that is on none, the sight of one that is orphaned, the network configuration of its host.
func (l *lan) lose(name, what string) {
	for _, vm := range vmsOf(name) {
		switch what {
		case "config":
			vm.Config, vm.Runtime.ConnectionState = nil, types.VirtualMachineConnectionStateInaccessible
		case "host":
			vm.Runtime.Host = nil
		case "sense": // a state that no client knows
			vm.Runtime.ConnectionState = "bewildered"
		case "sight":
			vm.Runtime.ConnectionState = types.VirtualMachineConnectionStateOrphaned
		case "network":
			simulator.Map.Get(*vm.Runtime.Host).(*simulator.HostSystem).ConfigManager.NetworkSystem = nil
		}
	}
}

// makeOdd makes the first adapter of a VM one that is not as most are.
func (l *lan) makeOdd(name, what string) error {
	for _, vm := range vmsOf(name) {
		for _, port := range l.ports {
			port.bypassed = port.bypassed || what == "bypassed" && port.vm == vm.Self
		}
		for i, device := range vm.Config.Hardware.Device {
			card, ok := device.(types.BaseVirtualEthernetCard)
			if !ok {
				continue
			}
			nic := card.GetVirtualEthernetCard()
			switch what {
			case "direct":
				vm.Config.Hardware.Device[i] = &types.VirtualSriovEthernetCard{VirtualEthernetCard: *nic}
			case "bare":
				nic.DeviceInfo, nic.MacAddress, nic.Connectable = nil, "", nil
			case "loose":
				nic.Backing = nil
			case "legacy":
				nic.Backing = &types.VirtualEthernetCardLegacyNetworkBackingInfo{
					VirtualDeviceDeviceBackingInfo: types.VirtualDeviceDeviceBackingInfo{DeviceName: "VM Network"},
				}
			case "alone":
				nic.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo).Port.PortgroupKey = ""
			case "slash":
				nic.Backing.(*types.VirtualEthernetCardNetworkBackingInfo).DeviceName = "VM%2fNetwork"
			case "bypassed":
			default:
				return fmt.Errorf("no adapter is %q", what)
			}
			break
		}
	}
	return nil
}

func vmsOf(name string) (found []*simulator.VirtualMachine) {
	for _, each := range simulator.Map.All("VirtualMachine") {
		if vm := each.(*simulator.VirtualMachine); vm.Name == name {
			found = append(found, vm)
		}
	}
	return found
}

// guest is what VMware Tools in a VM tell: the state of the tools, and the addresses of each adapter, told as vCenters do
// since version 5 or, old, as before.
type guest struct {
	Name, Tools string
	Adapters    []struct {
		MAC       string
		Addresses []string
	}
	Old bool
}

// setGuest puts into the inventory what VMware Tools tell.
func (l *lan) setGuest(told guest) {
	for _, vm := range vmsOf(told.Name) {
		vm.Guest.ToolsRunningStatus, vm.Guest.Net = told.Tools, nil
		for _, adapter := range told.Adapters {
			nic := types.GuestNicInfo{MacAddress: adapter.MAC, Connected: true, DeviceConfigId: -1}
			if told.Old {
				nic.IpAddress = adapter.Addresses
			} else {
				nic.IpConfig = &types.NetIpConfigInfo{}
				for _, address := range adapter.Addresses {
					entry := types.NetIpConfigInfoIpAddress{IpAddress: address, PrefixLength: 32, State: "preferred"}
					nic.IpConfig.IpAddress = append(nic.IpConfig.IpAddress, entry)
				}
			}
			vm.Guest.Net = append(vm.Guest.Net, nic)
		}
	}
}

// editsAdapters returns whether a spec does no more than change network adapters and the annotation; the simulator does
// not do that.
func editsAdapters(spec types.VirtualMachineConfigSpec, annotates bool) bool {
	for _, each := range spec.DeviceChange {
		change := each.GetVirtualDeviceConfigSpec()
		_, isCard := change.Device.(types.BaseVirtualEthernetCard)
		if !isCard || change.Operation != types.VirtualDeviceConfigSpecOperationEdit {
			return false
		}
	}
	return annotates || len(spec.DeviceChange) > 0
}

// reconfigureVM is ReconfigVM_Task for specs that editsAdapters accepts: of an adapter, how it is connected.
func reconfigureVM(vm *simulator.VirtualMachine, spec types.VirtualMachineConfigSpec, clears bool) types.BaseMethodFault {
	if spec.ChangeVersion != "" && spec.ChangeVersion != vm.Config.ChangeVersion {
		return &types.ConcurrentAccess{}
	}
	for i, each := range spec.DeviceChange {
		wanted := each.GetVirtualDeviceConfigSpec().Device.(types.BaseVirtualEthernetCard).GetVirtualEthernetCard()
		nic := nicOf(vm, wanted.Key)
		if nic == nil {
			return &types.InvalidDeviceSpec{DeviceIndex: int32(i)}
		}
		if wanted.Connectable != nil {
			connectable := *wanted.Connectable
			on := vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOn
			connectable.Connected = connectable.Connected && on
			nic.Connectable = &connectable
		}
	}
	if spec.Annotation != "" || clears {
		vm.Config.Annotation = spec.Annotation
	}
	vm.Config.ChangeVersion = nextKey("change")
	return nil
}

// updatePortGroup is UpdatePortGroup of a host's standard switches: the whole spec of a port group is replaced.
func updatePortGroup(network *simulator.HostNetworkSystem, name string, spec types.HostPortGroupSpec) types.BaseMethodFault {
	if network.Host.Runtime.ConnectionState != types.HostSystemConnectionStateConnected {
		return &types.HostNotConnected{}
	}
	for i := range network.NetworkInfo.Portgroup {
		group := &network.NetworkInfo.Portgroup[i]
		if group.Spec.Name == name {
			group.Spec = spec
			showStandard(network, group)
			return nil
		}
	}
	return &types.NotFound{}
}

// showStandard computes what a standard port group does from its own policy and that of its switch.
func showStandard(network *simulator.HostNetworkSystem, group *types.HostPortGroup) {
	for _, vswitch := range network.NetworkInfo.Vswitch {
		if vswitch.Name == group.Spec.VswitchName {
			computed := clone(reflect.ValueOf(&group.Spec.Policy)).Elem()
			complete(computed, reflect.ValueOf(vswitch.Spec.Policy).Elem())
			group.ComputedPolicy = computed.Interface().(types.HostNetworkPolicy)
		}
	}
	network.Host.Config.Network.Portgroup = network.NetworkInfo.Portgroup
	network.Host.Config.Network.Vswitch = network.NetworkInfo.Vswitch
}

func networkOf(host mo.Reference) *simulator.HostNetworkSystem {
	return simulator.Map.Get(*host.(*simulator.HostSystem).ConfigManager.NetworkSystem).(*simulator.HostNetworkSystem)
}
