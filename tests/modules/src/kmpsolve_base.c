// SPDX-License-Identifier: GPL-2.0
/* Exports one symbol of each kind and uses some of the kernel's that change often and seldom. */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/slab.h>

int kmpsolve_sum(int a, int b)
{
	return a + b;
}
EXPORT_SYMBOL(kmpsolve_sum);

int kmpsolve_scale(int a)
{
	return 2 * a;
}
EXPORT_SYMBOL_GPL(kmpsolve_scale);

int kmpsolve_hidden(struct net_device *device)
{
	return device ? device->ifindex : 0;
}
EXPORT_SYMBOL_NS_GPL(kmpsolve_hidden, KMPSOLVE);

static int __init kmpsolve_base_init(void)
{
	struct net_device *loopback = dev_get_by_name(&init_net, "lo");
	void *memory = kmalloc(64, GFP_KERNEL);

	pr_info("kmpsolve_base: %d %d\n", kmpsolve_hidden(loopback), memory != NULL);
	kfree(memory);
	if (loopback)
		dev_put(loopback);
	return 0;
}

static void __exit kmpsolve_base_exit(void)
{
}

module_init(kmpsolve_base_init);
module_exit(kmpsolve_base_exit);
MODULE_DESCRIPTION("Exports symbols for kmpsolve's tests");
MODULE_LICENSE("GPL");
MODULE_ALIAS("kmpsolve:base");
MODULE_INFO(supported, "external");
