// Copyright (c) 2026 The netops.egress_ip authors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The inventory that every test finds. README.md shows it.
package main

import (
	"context"
	"fmt"

	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// machine is a VM of the inventory: its folder below /DC0/vm ("" for none), host, and the networks of its adapters.
type machine struct {
	name, folder, host string
	networks           []string
	off                bool
}

var machines = []machine{
	{name: "node1", host: "DC0_C0_H0", networks: []string{"nodes"}},
	{name: "node2", host: "DC0_C0_H1", networks: []string{"nodes"}},
	{name: "node3", host: "DC0_C0_H0", networks: []string{"VM Network", "strict"}},
	{name: "node4", host: "DC0_C0_H1", networks: []string{"nodes"}, off: true},
	{name: "nsx1", host: "DC0_C0_H0", networks: []string{"segment"}},
	{name: "nsx2", host: "DC0_C0_H0", networks: []string{"overlay"}},
	{name: "twin", folder: "blue", host: "DC0_C0_H0", networks: []string{"nodes"}},
	{name: "twin", folder: "green", host: "DC0_C0_H1", networks: []string{"nodes"}},
	{name: "node5", host: "DC0_C0_H0", networks: []string{"passing"}},
}

// builder puts the inventory together through the simulator's own API, in this process.
type builder struct {
	context.Context
	client *vim25.Client
	finder *find.Finder
	lan    *lan
}

func buildInventory(apiVersion string, clusters int) (*simulator.Model, *lan, error) {
	model := simulator.VPX()
	model.Cluster, model.Host, model.ClusterHost, model.Machine, model.Portgroup = clusters, 0, 2, 0, 1
	about := &model.ServiceContent.About
	about.ApiVersion, about.Version = apiVersion, "8.0.3"
	about.FullName = "VMware vCenter Server 8.0.3 build-5973321"
	if err := model.Create(); err != nil {
		return nil, nil, err
	}
	client, err := vim25.NewClient(context.Background(), model.Service)
	if err != nil {
		return nil, nil, err
	}
	b := &builder{context.Background(), client, find.NewFinder(client), newLAN()}
	datacenter, err := b.finder.Datacenter(b, "DC0")
	if err != nil {
		return nil, nil, err
	}
	b.finder.SetDatacenter(datacenter)
	for _, step := range []func() error{b.standardSwitches, b.distributedSwitch, b.nsx, b.virtualMachines} {
		if err := step(); err != nil {
			return nil, nil, err
		}
	}
	return model, b.lan, nil
}

// stockInventory returns the inventory that govmomi's simulator has by default.
func stockInventory(apiVersion string) (*simulator.Model, *lan, error) {
	model := simulator.VPX()
	model.ServiceContent.About.ApiVersion = apiVersion
	return model, newLAN(), model.Create()
}

// standardSwitches gives each host a complete vSwitch0 that refuses all three, as hardening guides want it.
func (b *builder) standardSwitches() error {
	network, err := b.finder.Network(b, "VM Network")
	if err != nil {
		return err
	}
	for _, host := range simulator.Map.All("HostSystem") {
		system := networkOf(host)
		vswitch := host.(*simulator.HostSystem).Config.Network.Vswitch[0]
		vswitch.Spec.Policy.Security = &types.HostNetworkSecurityPolicy{
			AllowPromiscuous: types.NewBool(false),
			MacChanges:       types.NewBool(false),
			ForgedTransmits:  types.NewBool(false),
		}
		system.NetworkInfo.Vswitch = []types.HostVirtualSwitch{vswitch}
		for i := range system.NetworkInfo.Portgroup {
			showStandard(system, &system.NetworkInfo.Portgroup[i])
		}
		shared := simulator.Map.Get(network.Reference()).(*mo.Network)
		shared.Host = append(shared.Host, host.Reference())
	}
	return nil
}

// distributedSwitch gives DVS0 its defaults, and three port groups: nodes lets its ports override the security
// settings, strict lets them override nothing, overlay belongs to NSX.
func (b *builder) distributedSwitch() error {
	found, err := b.finder.Network(b, "DVS0")
	if err != nil {
		return err
	}
	dvs := switchOf(found.Reference())
	config := dvs.Config.(*types.VMwareDVSConfigInfo)
	config.ProductInfo = types.DistributedVirtualSwitchProductSpec{Name: "DVS", Vendor: "VMware, Inc.", Version: "8.0.3"}
	config.DefaultPortConfig = switchDefaults()
	config.PvlanConfig = []types.VMwareDVSPvlanMapEntry{
		{PrimaryVlanId: 200, SecondaryVlanId: 200, PvlanType: "promiscuous"},
		{PrimaryVlanId: 200, SecondaryVlanId: 201, PvlanType: "isolated"},
	}
	for _, ref := range dvs.Portgroup {
		b.lan.groups[ref] = &level{own: &setting{}, version: 1}
		group := groupOf(ref)
		if group.Config.DefaultPortConfig == nil {
			group.Config.DefaultPortConfig = &setting{}
		}
		b.lan.showGroup(ref)
	}
	b.lan.setLearning(types.NewBool(true), nil)
	override := &types.VMwareDVSPortgroupPolicy{
		DVPortgroupPolicy: types.DVPortgroupPolicy{
			BlockOverrideAllowed:         true,
			PortConfigResetAtDisconnect:  true,
			TrafficFilterOverrideAllowed: types.NewBool(true),
		},
		MacManagementOverrideAllowed:  types.NewBool(true),
		SecurityPolicyOverrideAllowed: true,
	}
	specs := []types.DVPortgroupConfigSpec{
		{Name: "nodes", Type: "earlyBinding", Policy: override},
		{Name: "strict", Type: "earlyBinding", Policy: &types.VMwareDVSPortgroupPolicy{
			DVPortgroupPolicy: types.DVPortgroupPolicy{
				BlockOverrideAllowed: true, TrafficFilterOverrideAllowed: types.NewBool(false),
			},
			MacManagementOverrideAllowed: types.NewBool(false),
		}},
		{Name: "passing", Type: "ephemeral", Policy: override},
		{Name: "overlay", Type: "ephemeral", LogicalSwitchUuid: "6b2c4d1e-0000-4000-8000-000000000001", BackingType: "nsx"},
	}
	task, err := object.NewDistributedVirtualSwitch(b.client, dvs.Self).AddPortgroup(b, specs)
	if err != nil {
		return err
	}
	if err := task.Wait(b); err != nil {
		return err
	}
	for _, ref := range dvs.Portgroup {
		if b.lan.groups[ref] == nil {
			b.lan.groups[ref] = &level{own: &setting{
				Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 126},
			}, version: 1}
			b.lan.showGroup(ref)
		}
	}
	return nil
}

// switchDefaults returns settings that leave nothing open: all the levels below inherit from these.
func switchDefaults() *setting {
	no, yes := types.NewBool(false), types.NewBool(true)
	limit := int32(4096)
	result := &setting{
		DVPortSetting: types.DVPortSetting{
			Blocked:      &types.BoolPolicy{Value: no},
			FilterPolicy: &types.DvsFilterPolicy{},
			InShapingPolicy: &types.DVSTrafficShapingPolicy{
				Enabled: &types.BoolPolicy{Value: no}, AverageBandwidth: &types.LongPolicy{Value: 100000000},
			},
		},
		Vlan: &types.VmwareDistributedVirtualSwitchVlanIdSpec{VlanId: 0},
		UplinkTeamingPolicy: &types.VmwareUplinkPortTeamingPolicy{
			Policy: &types.StringPolicy{Value: "loadbalance_srcid"}, NotifySwitches: &types.BoolPolicy{Value: yes},
		},
		MacManagementPolicy: &types.DVSMacManagementPolicy{
			AllowPromiscuous: no, MacChanges: no, ForgedTransmits: no,
			MacLearningPolicy: &types.DVSMacLearningPolicy{
				Enabled: false, AllowUnicastFlooding: yes, Limit: &limit, LimitPolicy: "DROP",
			},
		},
	}
	mirror(result)
	return result
}

func (b *builder) nsx() error {
	network, err := b.finder.Folder(b, "/DC0/network")
	if err != nil {
		return err
	}
	return simulator.Map.Get(network.Reference()).(*simulator.Folder).AddOpaqueNetwork(types.OpaqueNetworkSummary{
		NetworkSummary: types.NetworkSummary{Name: "segment"},
	})
}

func (b *builder) virtualMachines() error {
	root, err := b.finder.Folder(b, "/DC0/vm")
	if err != nil {
		return err
	}
	pool, err := b.finder.ResourcePool(b, "/DC0/host/DC0_C0/Resources")
	if err != nil {
		return err
	}
	for number, machine := range machines {
		folder := root
		if machine.folder != "" {
			if folder, err = root.CreateFolder(b, machine.folder); err != nil {
				return err
			}
		}
		host, err := b.finder.HostSystem(b, "/DC0/host/DC0_C0/"+machine.host)
		if err != nil {
			return err
		}
		if err := b.virtualMachine(folder, pool, host, number+1, machine); err != nil {
			return fmt.Errorf("%s: %w", machine.name, err)
		}
	}
	return nil
}

func (b *builder) virtualMachine(
	folder *object.Folder, pool *object.ResourcePool, host *object.HostSystem, number int, machine machine,
) error {
	spec := types.VirtualMachineConfigSpec{
		Name:    machine.name,
		GuestId: string(types.VirtualMachineGuestOsIdentifierOtherGuest),
		Files:   &types.VirtualMachineFileInfo{VmPathName: "[LocalDS_0]"},
	}
	var cards object.VirtualDeviceList
	for i, name := range machine.networks {
		network, err := b.finder.Network(b, name)
		if err != nil {
			return err
		}
		card, err := b.card(network, int32(4000+i), fmt.Sprintf("00:50:56:%02x:%02x:%02x", number>>8, number&255, i+1))
		if err != nil {
			return err
		}
		cards = append(cards, card)
	}
	spec.DeviceChange, _ = cards.ConfigSpec(types.VirtualDeviceConfigSpecOperationAdd)
	task, err := folder.CreateVM(b, spec, pool, host)
	if err != nil {
		return err
	}
	info, err := task.WaitForResult(b, nil)
	if err != nil {
		return err
	}
	vm := object.NewVirtualMachine(b.client, info.Result.(types.ManagedObjectReference))
	b.connect(vm.Reference())
	if machine.off {
		return nil
	}
	task, err = vm.PowerOn(b)
	if err != nil {
		return err
	}
	return task.Wait(b)
}

// card returns a network adapter of its own for one VM.
func (b *builder) card(network object.NetworkReference, key int32, mac string) (types.BaseVirtualDevice, error) {
	backing, err := network.EthernetCardBackingInfo(b)
	if err != nil {
		return nil, err
	}
	return &types.VirtualVmxnet3{VirtualVmxnet: types.VirtualVmxnet{VirtualEthernetCard: types.VirtualEthernetCard{
		VirtualDevice: types.VirtualDevice{
			Key:     key,
			Backing: backing,
			Connectable: &types.VirtualDeviceConnectInfo{
				StartConnected: true, AllowGuestControl: true, Connected: true,
			},
		},
		AddressType: string(types.VirtualEthernetCardMacTypeManual),
		MacAddress:  mac,
	}}}, nil
}

// connect names the adapters of a VM as vCenter does, and gives each one on the distributed switch a port of its own.
func (b *builder) connect(ref reference) {
	vm := simulator.Map.Get(ref).(*simulator.VirtualMachine)
	vm.Config.ChangeVersion = nextKey("change")
	for _, device := range vm.Config.Hardware.Device {
		card, ok := device.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		nic := card.GetVirtualEthernetCard()
		nic.DeviceInfo = &types.Description{Label: fmt.Sprintf("Network adapter %d", nic.Key-3999)}
		if standard, ok := nic.Backing.(*types.VirtualEthernetCardNetworkBackingInfo); ok {
			network := simulator.Map.Get(*standard.Network).(*mo.Network)
			network.Vm = append(network.Vm, ref)
		}
		backing, ok := nic.Backing.(*types.VirtualEthernetCardDistributedVirtualPortBackingInfo)
		if !ok {
			continue
		}
		key := fmt.Sprint(10 + len(b.lan.order))
		group := reference{Type: "DistributedVirtualPortgroup", Value: backing.Port.PortgroupKey}
		b.lan.ports[key] = &port{level: level{own: &setting{}, version: 1}, key: key, group: group, vm: ref, nic: nic.Key}
		b.lan.order = append(b.lan.order, key)
		backing.Port.PortKey, backing.Port.ConnectionCookie = key, int32(len(b.lan.order))
		groupOf(group).PortKeys = append(groupOf(group).PortKeys, key)
		groupOf(group).Vm = append(groupOf(group).Vm, ref)
	}
}
